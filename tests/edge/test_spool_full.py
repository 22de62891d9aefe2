"""The spool on a disk that is full, fails, or lies: writes wait, nothing is lost, nothing is doubled."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qytet_edge.records import Checkpoint, Notice
from qytet_edge.spool import Limits, Spool, SpoolError
from tests.edge.spool_support import ROOMY, FakeHost, numbers, readings, relayed, spool


async def until(true: Callable[[], bool], deadline_s: float = 60) -> None:
    """Yield to the event loop until something is true."""
    end = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.005)


def is_full(kept: Spool) -> bool:
    """Whether the spool says that its disk takes nothing."""
    return kept.state().full_since_ms is not None


def cap(kept: Spool, more_pages: int | None) -> None:
    """Let the database have so many pages more than now, or as many as it likes."""
    store = kept._writer._store
    assert store is not None
    pages = (
        1 << 30 if more_pages is None else store.sql.execute("PRAGMA page_count").fetchone()[0] + more_pages
    )
    store.sql.execute(f"PRAGMA max_page_count = {pages}").fetchall()


class Failing:
    """A connection that fails when it is told to; everything else is the real one's."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self.real = real
        self.fail: list[tuple[str, int, bool]] = []
        """Statements (their beginning) to fail at, the error's code, and whether the statement is done first."""

    def execute(self, query: str, *args: Any) -> sqlite3.Cursor:
        if self.fail and query.startswith(self.fail[0][0]):
            _query, code, really = self.fail.pop(0)
            if really:
                self.real.execute(query, *args)
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = code
            raise error
        return self.real.execute(query, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def fail(kept: Spool, *faults: tuple[str, int, bool]) -> None:
    """Make the spool's present connection fail."""
    store = kept._writer._store
    assert store is not None
    failing = Failing(store.sql)
    failing.fail = list(faults)
    store.sql = failing  # type: ignore[assignment]


def test_a_full_database_makes_puts_wait_and_loses_nothing(tmp_path: Path) -> None:
    """While SQLite finds no room puts wait, reads and marks go on, and all that waited is kept once there is room."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            await kept.put(readings(50), Checkpoint("file", b"50"))
            cap(kept, 0)
            waiting = asyncio.ensure_future(kept.put(readings(3000, first=50), Checkpoint("file", b"3050")))
            await until(lambda: is_full(kept))
            assert "full" in kept.state().full_why
            assert len(await numbers(kept, "meter", kept.boot)) == 50
            assert await kept.checkpoint("file") == b"50"
            await kept.mark("meter", kept.boot, 20)
            assert not waiting.done()
            cap(kept, None)
            await asyncio.wait_for(waiting, 60)
            assert await numbers(kept, "meter", kept.boot) == list(range(21, 3051))
            assert await kept.checkpoint("file") == b"3050"
            assert not is_full(kept)

    asyncio.run(run())


def test_room_is_left_for_marks(tmp_path: Path) -> None:
    """When the disk has less than the reserve, puts wait, while marks and broker's receipts still go through."""

    async def run() -> None:
        host = FakeHost()
        async with spool(tmp_path, host=host) as kept:
            await kept.put(readings(10))
            await kept.notify(Notice("node", "log", b"x"))
        async with spool(tmp_path, replace(ROOMY, spare_bytes=1 << 60), host) as kept:
            waiting = asyncio.ensure_future(kept.put(readings(1)))
            await until(lambda: is_full(kept))
            assert "reserve" in kept.state().full_why
            await kept.mark("meter", kept.boot, 9)
            await kept.noticed([number for number, _ in await kept.notices(10)])
            assert await numbers(kept, "meter", kept.boot) == [10]
            assert not waiting.done()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        async with spool(tmp_path, host=host) as kept:
            assert await numbers(kept, "meter", kept.boot) == [10]

    asyncio.run(run())


def test_a_cancelled_put_is_not_kept_later(tmp_path: Path) -> None:
    """A source that gives up its put on a full disk, and puts it again, has it kept once."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            cap(kept, 0)
            first = asyncio.ensure_future(kept.put(readings(3000), Checkpoint("file", b"1")))
            await until(lambda: is_full(kept))
            first.cancel()
            assert await kept.checkpoint("file") is None, "an attempt that was under way has failed, too"
            again = asyncio.ensure_future(kept.put(readings(3000), Checkpoint("file", b"1")))
            cap(kept, None)
            await asyncio.wait_for(again, 60)
            assert len(await numbers(kept, "meter", kept.boot)) == 3000

    asyncio.run(run())


def test_closing_on_a_full_disk_says_what_was_not_kept(tmp_path: Path) -> None:
    """Whoever still waits when the spool is closed is told that nothing of it was kept, and why."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            cap(kept, 0)
            waiting = asyncio.ensure_future(kept.put(readings(3000)))
            await until(lambda: is_full(kept))
        with pytest.raises(SpoolError, match="closed before"):
            await waiting

    asyncio.run(run())


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_of_unknown_fate_is_kept_once(tmp_path: Path, committed: bool) -> None:
    """If the disk fails in the middle of a COMMIT, the file is opened anew to see whether it happened."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            await kept.put(readings(5))
            boot = kept.boot
            fail(kept, ("COMMIT", sqlite3.SQLITE_IOERR_FSYNC, committed))
            await asyncio.wait_for(kept.put(readings(5, first=5), Checkpoint("file", b"10")), 60)
            assert kept.boot == boot
            records = await kept.read("meter", boot, 0, 100, 1 << 20)
            assert [record.m for record in records] == [b'{"grid_current":%d}' % at for at in range(10)]
            assert [record.seq for record in records] == list(range(1, 11))
            assert kept.state().set_aside == ()

    asyncio.run(run())


def test_the_first_commit_of_a_life_may_be_of_unknown_fate(tmp_path: Path) -> None:
    """The boot's own name is in that transaction, too: whether it happened or not, one numbering comes out of it."""

    async def run() -> None:
        for committed in (True, False):
            folder = tmp_path / str(committed)
            folder.mkdir()
            async with spool(folder, host=FakeHost()) as kept:
                fail(kept, ("COMMIT", sqlite3.SQLITE_IOERR_FSYNC, committed))
                await asyncio.wait_for(kept.put(readings(3)), 60)
                assert [(held.boot, held.count) for held in await kept.held()] == [(kept.boot, 3)]

    asyncio.run(run())


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL])
def test_a_disk_that_fails_for_a_while_loses_nothing(tmp_path: Path, code: int) -> None:
    """Failing writes, a read-only remount, a full disk: a put waits and is kept once the disk takes it."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            await kept.relay(relayed(1))
            fail(kept, *([("BEGIN", code, False)] * 4))
            await asyncio.wait_for(kept.put(readings(2)), 60)
            assert await numbers(kept, "meter", kept.boot) == [1, 2]
            assert await numbers(kept, "node", "0000000a") == [1]
            await until(lambda: not is_full(kept))

    asyncio.run(run())


def test_a_mistake_in_one_write_fails_alone(tmp_path: Path) -> None:
    """A write that fails by a mistake of the program fails for its caller; its neighbours are kept."""

    async def run() -> None:
        async with spool(tmp_path, replace(ROOMY, commit_ms=50)) as kept:
            wrong = kept._write(lambda change: change.no_such_thing())  # type: ignore[attr-defined]
            results = await asyncio.gather(
                kept.put(readings(1)), wrong, kept.put(readings(1)), return_exceptions=True
            )
            assert [type(result) for result in results] == [type(None), AttributeError, type(None)]
            assert await numbers(kept, "meter", kept.boot) == [1, 2]

    asyncio.run(run())


def test_a_second_gateway_is_refused(tmp_path: Path) -> None:
    """Two gateways on one spool would both send it: the second one is told that it is in use."""
    code = (
        "import asyncio, sys; from pathlib import Path; from qytet_edge.spool import *\n"
        "async def run():\n"
        "    async with Spool(Path(sys.argv[1])) as s: print('opened')\n"
        "try: asyncio.run(run())\n"
        "except SpoolError as error: print(error)\n"
    )

    async def run() -> None:
        async with spool(tmp_path) as kept:
            await kept.put(readings(1))
            second = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, str(kept._writer.path), stdout=subprocess.PIPE
            )
            said, _ = await second.communicate()
            assert b"in use" in said
            await kept.put(readings(1))

    asyncio.run(run())


def test_a_folder_that_cannot_be_used_is_an_error_with_advice(tmp_path: Path) -> None:
    """A start without a place for the file fails with what happened and what to do, and leaves nothing open."""
    (tmp_path / "file").write_text("in the way")

    async def run() -> None:
        with pytest.raises(SpoolError) as raised:
            async with Spool(tmp_path / "file" / "spool.db"):
                pass
        assert raised.value.do

    asyncio.run(run())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("only root may mount the small file system that is to be filled")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Write until not one more page fits."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(ballast.parent).free < 4096


def test_a_disk_filled_by_others(small_disk: Path) -> None:
    """With not a byte left on a real file system puts wait; once the others have cleaned up, all is kept once."""

    async def run() -> None:
        async with spool(small_disk, Limits(spare_bytes=0), FakeHost()) as kept:
            await kept.put(readings(2000))
            ballast = small_disk / "ballast"
            fill(ballast)
            puts = [asyncio.ensure_future(kept.put(readings(1000, f"late-{number}"))) for number in range(8)]
            await until(lambda: is_full(kept))
            assert len(await numbers(kept, "meter", kept.boot)) == 2000
            done = [put for put in puts if put.done()]
            ballast.unlink()
            await asyncio.wait_for(asyncio.gather(*puts), 60)
            assert len(done) < len(puts)
            assert [len(await numbers(kept, f"late-{number}", kept.boot)) for number in range(8)] == [
                1000
            ] * 8
        async with spool(small_disk, Limits(spare_bytes=0), FakeHost()) as kept:
            assert kept.state().records == 10_000
            assert kept.state().set_aside == ()

    asyncio.run(run())
