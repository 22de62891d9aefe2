"""What the spool writes to its disk: bytes that the kernel sends there for each byte of record, and time.

    python -m tests.bench.spool [FOLDER]

Fifty devices say one record a second. The three lines of a table are the seconds' 50 records in 50 transactions
(`commit_ms` 0, each source alone), in 4 (250) and in one (1000). "Online" marks everything a second later, "offline"
keeps it. The seconds are simulated: what is written depends on transactions, not on the clock. FOLDER should be on
a real disk: on a tmpfs the kernel counts nothing.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from qytet_edge.records import Reading
from qytet_edge.spool import Host, Limits, Spool

DEVICES = 50
NAMES = [f"sensor-{number}" for number in range(DEVICES)]
VALUES = {
    "air_temperature": 21.37,
    "relative_humidity": 48.2,
    "air_pressure": 1013.25,
    "pm2_5": 7.4,
    "pm10": 12.9,
}
ROW_BYTES = 40
"""Number, time, uptime, quality and punctuation of a row of `hist`, besides its values."""


class Case(NamedTuple):
    """One line of the table."""

    commit_ms: int
    transactions: int
    online: bool
    seconds: int


CASES = [
    Case(commit_ms, transactions, online, 120 if transactions == DEVICES else 600)
    for online in (True, False)
    for commit_ms, transactions in ((0, DEVICES), (250, 4), (1000, 1))
]


class Found(NamedTuple):
    """What was measured."""

    written: int
    records: int
    ms: float
    used: int


async def measure(folder: Path, case: Case) -> Found:
    """Run one case: bytes written and bytes of records, ms for each transaction, and bytes used at the end."""
    host = Host()
    before = host.written_bytes() or 0
    size = 0
    share = DEVICES // case.transactions
    begin = time.perf_counter()
    async with Spool(folder / "spool.db", Limits(), lambda: (1_789_000_000_000, "ntp")) as spool:
        boot = spool.boot
        for second in range(case.seconds):
            marks = [spool.mark(name, boot, second) for name in NAMES] if case.online and second else []
            for part in range(case.transactions):
                names = NAMES[part * share : None if part == case.transactions - 1 else (part + 1) * share]
                await asyncio.gather(spool.put([Reading(name, VALUES) for name in names]), *marks)
                marks = []
            size += sum(len(record.m) + ROW_BYTES for record in spool.fresh.take(DEVICES))
        used = spool.state().bytes
    took = time.perf_counter() - begin
    written = (host.written_bytes() or 0) - before
    return Found(written, size, took / case.seconds / case.transactions * 1000, used)


def main() -> None:
    """Print the table."""
    place = sys.argv[1] if len(sys.argv) > 1 else None
    print(
        f"{'':8} {'commit_ms':>9} {'written/record byte':>20} {'GB a day':>9} {'ms/transaction':>15} {'used':>9}"
    )
    for case in CASES:
        with tempfile.TemporaryDirectory(dir=place, ignore_cleanup_errors=True) as folder:
            found = asyncio.run(measure(Path(folder), case))
        day = found.written / case.seconds * 86400 / 1e9
        name = "online" if case.online else "offline"
        ratio = found.written / found.records
        print(
            f"{name:8} {case.commit_ms:9} {ratio:20.1f} {day:9.2f} {found.ms:15.2f} {found.used:9}",
            flush=True,
        )


if __name__ == "__main__":
    main()
