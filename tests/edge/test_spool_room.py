"""A spool that has filled its disk by itself: once the city has stored what it holds, it takes in again."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

from tests.edge.spool_support import ROOMY, FakeHost, numbers, readings, spool
from tests.edge.test_spool_full import fail, is_full, until

RESERVE = replace(ROOMY, spare_bytes=300_000, roll_rows=500)


def test_what_is_marked_makes_room_on_a_disk_that_the_spool_has_filled(tmp_path: Path) -> None:
    """The file does not shrink, so the disk stays full; what is free inside of the file is used again."""

    async def run() -> None:
        host = FakeHost()
        async with spool(tmp_path, RESERVE, host) as kept:
            for _ in range(3):
                await kept.put(readings(2000))
            host.free = 0
            waiting = asyncio.ensure_future(kept.put(readings(10)))
            await until(lambda: is_full(kept))
            await kept.mark("meter", kept.boot, 6000)
            await asyncio.wait_for(waiting, 60)
            assert await numbers(kept, "meter", kept.boot) == list(range(6001, 6011))
            await until(lambda: not is_full(kept))

    asyncio.run(run())


def test_an_intake_that_could_not_be_sorted_is_sorted_later(tmp_path: Path) -> None:
    """Sorting that failed on a full disk is tried again while a put waits for it, and the put goes through."""

    async def run() -> None:
        async with spool(tmp_path, replace(ROOMY, roll_rows=100)) as kept:
            await kept.put(readings(1))
            fail(kept, ("\nINSERT OR IGNORE INTO record", sqlite3.SQLITE_FULL, False))
            await kept.put(readings(250))
            await asyncio.wait_for(kept.put(readings(1)), 60)
            assert await numbers(kept, "meter", kept.boot) == list(range(1, 253))

    asyncio.run(run())
