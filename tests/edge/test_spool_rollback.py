"""A spool that is not as it was: a file put back, a disk that forgot, a copy that is not finished."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tests.edge.spool_support import NOW_MS, ROOMY, FakeHost, everything, numbers, readings, spool
from tests.edge.test_spool_full import fail

LONG = 3000
RESERVE = replace(ROOMY, spare_bytes=1000)


def test_a_mark_for_numbers_that_were_never_given_frees_nothing(tmp_path: Path) -> None:
    """An older file was put back: what the city has under these numbers is something else, so they are given anew."""

    async def run() -> None:
        host = FakeHost()
        async with spool(tmp_path, host=host) as kept:
            await kept.put(readings(2))
        shutil.copytree(tmp_path, tmp_path / "back-up")
        async with spool(tmp_path, host=host) as kept:
            old = kept.boot
            await kept.put(readings(48, first=100))
        shutil.copy(tmp_path / "back-up" / "spool.db", tmp_path / "spool.db")
        async with spool(tmp_path, host=host) as kept:
            assert kept.boot == old
            await kept.put(readings(3, first=500))
            await kept.mark("meter", old, 50)
            assert kept.boot != old
            assert await numbers(kept, "meter", old) == []
            again = await kept.read("meter", kept.boot, 0, 99, 9999)
            assert [record.m for record in again] == [
                b'{"grid_current":%d}' % n for n in (0, 1, 500, 501, 502)
            ]
            assert [record.seq for record in again] == [1, 2, 3, 4, 5]
            assert {(record.t_ms or 0) - record.up_ms for record in again} == {NOW_MS - host.up}
            await kept.put(readings(1))
            assert await numbers(kept, "meter", kept.boot) == [1, 2, 3, 4, 5, 6]

    asyncio.run(run())


def test_a_mark_above_an_earlier_boot_s_numbers_holds(tmp_path: Path) -> None:
    """A card forgot the last records before a power cut, which the city has: no number of that boot was given twice."""

    async def run() -> None:
        host = FakeHost()
        async with spool(tmp_path, host=host) as kept:
            old = kept.boot
            await kept.put(readings(2))
        host.linux = "linux-2"
        async with spool(tmp_path, host=host) as kept:
            await kept.put(readings(1, "pump"))
            boot = kept.boot
            await kept.mark("meter", old, 50)
            assert kept.boot == boot
            assert list(await everything(kept)) == [("pump", boot)]

    asyncio.run(run())


def test_a_disk_that_forgot_what_was_durable(tmp_path: Path) -> None:
    """A file that is older when it is opened anew gives no number twice, and what memory still has is kept."""

    async def run() -> None:
        async with spool(tmp_path, host=FakeHost()) as kept:
            old = kept.boot
            await kept.put(readings(2))
            shutil.copy(tmp_path / "spool.db", tmp_path / "older")
            shutil.copy(tmp_path / "spool.db-wal", tmp_path / "older-wal")
            await kept.put(readings(3, first=2))
            for name in ("", "-wal"):
                (tmp_path / f"older{name}").replace(tmp_path / f"spool.db{name}")
            fail(kept, ("BEGIN", sqlite3.SQLITE_IOERR, False))
            await kept.put(readings(1, first=5))
            assert kept.boot != old
            assert await numbers(kept, "meter", old) == [1, 2, 3, 4, 5]
            assert await numbers(kept, "meter", kept.boot) == [1]

    asyncio.run(run())


def test_an_unfinished_copy_survives_an_error_of_the_disk(tmp_path: Path) -> None:
    """What a full disk left in a corrupt file is still copied after the new file had to be opened anew."""

    async def run() -> None:
        host = FakeHost()
        async with spool(tmp_path, host=host) as kept:
            old = kept.boot
            await kept.put(readings(1, "gone"))
            await kept.put(readings(5, "pump"))
            await kept.put(readings(LONG))
            await kept.mark("gone", old, 1)
        with closing(sqlite3.connect(tmp_path / "spool.db")) as file, file:
            file.execute(
                "DELETE FROM boot WHERE device = 'gone'"
            )  # it was forgotten: the others keep their ids
            file.execute("DELETE FROM intake WHERE boot_id NOT IN (SELECT id FROM boot)")
        (tmp_path / "spool.db").rename(tmp_path / "spool.salvage")
        host.free = 0
        async with spool(tmp_path, RESERVE, host) as kept:
            assert await numbers(kept, "meter", old) == []
            fail(kept, ("BEGIN", sqlite3.SQLITE_IOERR, False))
            host.free = 1 << 40
            await kept.put(readings(1, "clock"))
            assert await numbers(kept, "meter", old) == list(range(1, LONG + 1))
            assert await numbers(kept, "pump", old) == list(range(1, 6))

    asyncio.run(run())
