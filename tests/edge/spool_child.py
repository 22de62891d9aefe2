"""A gateway's source and relay in small, killed by the tests: says each number that `put` has returned for."""

import asyncio
import sys
from pathlib import Path

from qytet_edge.records import Checkpoint, Reading, Relayed
from qytet_edge.spool import Limits, Spool


async def run(path: Path) -> None:
    """Put what follows the checkpoint, three readings and a node's record at a time, until somebody ends it."""
    async with Spool(path, Limits(spare_bytes=0, roll_rows=40), lambda: (1_789_000_000_000, "ntp")) as kept:
        store = kept._writer._store
        assert store is not None
        store.sql.execute("PRAGMA wal_autocheckpoint = 20").fetchall()  # be killed while copying the log, too
        at = int(await kept.checkpoint("child") or 0)
        while True:
            readings = [Reading("meter", {"grid_current": value}) for value in range(at, at + 3)]
            node = Relayed("node", "0000000a", at // 3 + 1, None, at, "none", b'{"pm10":%d}' % at)
            await asyncio.gather(
                kept.put(readings, Checkpoint("child", b"%d" % (at + 3))), kept.relay([node])
            )
            at += 3
            if at % 30 == 0:
                await kept.mark("meter", kept.boot, at - 90)
            sys.stdout.write(f"{at}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
