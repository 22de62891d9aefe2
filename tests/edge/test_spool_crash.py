"""The spool after `kill -9`, after a power cut that tore the log, and with a file that is damaged."""

import asyncio
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from qytet_edge.records import Checkpoint, Notice, Record
from qytet_edge.spool import Host, Spool
from qytet_edge.spool.salvage import aside, set_aside
from qytet_edge.spool.writer import Writer
from tests.edge.spool_support import ROOMY, FakeHost, everything, numbers, readings, relayed, spool

PAGE = 4096


def kill_after(path: Path, lines: int) -> int:
    """Run the child until it has said so many lines, kill it, and return the last number that it said."""
    command = [sys.executable, "-m", "tests.edge.spool_child", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = 0
        for _ in range(lines):
            said = int(child.stdout.readline())
        child.kill()
        rest = child.stdout.read().splitlines(keepends=True)
        return int(rest[-1]) if rest and rest[-1].endswith("\n") else said


def test_kill_9_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed at random moments, every reading that `put` returned for is there once, and numbers have no gap."""
    chance = random.Random(7)
    path = tmp_path / "spool.db"
    said = 0
    for _ in range(5):
        said = max(said, kill_after(path, chance.randint(1, 80)))

    async def run() -> tuple[str, int, dict[tuple[str, str], list[Record]]]:
        async with Spool(path, ROOMY) as kept:
            return kept.boot, int(await kept.checkpoint("child") or 0), await everything(kept)

    boot, at, found = asyncio.run(run())
    assert at >= said
    meter = found.pop(("meter", boot))
    first = meter[0].seq
    assert [record.seq for record in meter] == list(range(first, at + 1))
    assert [record.m for record in meter] == [
        b'{"grid_current":%d}' % value for value in range(first - 1, at)
    ]
    assert first <= max(1, at - 29)
    [(key, node)] = found.items()
    assert key == ("node", "0000000a")
    assert {record.seq for record in node} >= set(range(1, said // 3 + 1))
    assert len({record.seq for record in node}) == len(node)


def test_a_torn_log_loses_nothing_that_was_durable(tmp_path: Path) -> None:
    """Cut or garbled anywhere behind what was synced, the log gives every durable record, and no half transaction."""
    chance = random.Random(11)
    live, log = tmp_path / "live", tmp_path / "live" / "spool.db-wal"
    synced = [0]
    copies: list[tuple[Path, int]] = []

    async def write() -> None:
        async with spool(live, host=FakeHost()) as kept:
            for part in range(40):
                await kept.put(readings(5, first=part * 5))
                synced.append(log.stat().st_size)
            shutil.copytree(live, tmp_path / "whole")

    def damage(number: int) -> tuple[Path, int]:
        """A copy whose log is cut or garbled at some place, and how many puts were durable before it."""
        folder = tmp_path / f"cut-{number}"
        shutil.copytree(tmp_path / "whole", folder)
        at = chance.randint(synced[1], synced[-1])
        data = bytearray((folder / "spool.db-wal").read_bytes())
        garbage = chance.randbytes(len(data) - at) if number % 2 else b""
        (folder / "spool.db-wal").write_bytes(bytes(data[:at]) + garbage)
        return folder, sum(size <= at for size in synced[1:])

    async def check(folder: Path, durable: int) -> None:
        async with spool(folder, host=FakeHost(linux="linux-2")) as kept:
            found = (await everything(kept)).get(("meter", "00000001"), [])
            assert len(found) >= durable * 5
            assert len(found) % 5 == 0, "a transaction is whole or not there"
            assert [record.m for record in found] == [b'{"grid_current":%d}' % at for at in range(len(found))]
            assert kept.state().set_aside == ()

    asyncio.run(write())
    copies = [damage(number) for number in range(16)]
    for folder, durable in copies:
        asyncio.run(check(folder, durable))


async def prepare(folder: Path, host: FakeHost, count: int = 3000) -> str:
    """A closed spool with a backlog, a node's records, a checkpoint and a notice; its boot."""
    async with spool(folder, replace(ROOMY, roll_rows=200), host) as kept:
        for part in range(count // 100):
            await kept.put(readings(100, first=part * 100), Checkpoint("file", b"%d" % part))
        await kept.relay(relayed(*range(1, 50), lo=1))
        await kept.notify(Notice("node", "log", b"kept"))
        await kept.mark("meter", kept.boot, 10)
        return kept.boot


def pages_of(path: Path, table: str, *, root: bool = False) -> list[int]:
    """The leaf pages of a table that has one level above them, or its root; numbers from 1."""
    with closing(sqlite3.connect(path)) as sql:
        [top] = sql.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    if root:
        return [top]
    data = path.read_bytes()
    children = data[(top - 1) * PAGE : top * PAGE]
    assert children[0] == 2, "an interior page of an index b-tree: WITHOUT ROWID"
    cells = int.from_bytes(children[3:5], "big")
    offsets = [int.from_bytes(children[12 + 2 * n : 14 + 2 * n], "big") for n in range(cells)]
    return [int.from_bytes(children[offset : offset + 4], "big") for offset in offsets]


def cells(path: Path, page: int) -> int:
    """How many rows a leaf page has (SQLite's file format, 1.6: two bytes at 3)."""
    return int.from_bytes(path.read_bytes()[(page - 1) * PAGE + 3 : (page - 1) * PAGE + 5], "big")


def ruin(path: Path, *pages: int) -> None:
    """Overwrite pages with noise."""
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(random.Random(page).randbytes(PAGE))


def unclean(path: Path) -> None:
    """Make the file look as after a crash."""
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("UPDATE meta SET value = 0 WHERE key = 'clean'")
        sql.commit()


@pytest.mark.parametrize("rubbish", [b"not a database at all" * 400, b"", b"\0" * 8192])
def test_what_is_no_spool_is_set_aside(tmp_path: Path, rubbish: bytes) -> None:
    """A file that is no database is set aside as it is, and a new spool works in its place; an empty one is used."""
    (tmp_path / "spool.db").write_bytes(rubbish)

    async def run() -> None:
        async with spool(tmp_path) as kept:
            await kept.put(readings(2))
            assert await numbers(kept, "meter", kept.boot) == [1, 2]
            assert len(kept.state().set_aside) == bool(rubbish)
        for name in kept.state().set_aside:
            assert name.startswith("spool.corrupt-")
            assert (tmp_path / name).read_bytes() == rubbish

    asyncio.run(run())


def test_a_damaged_file_gives_what_can_be_read(tmp_path: Path) -> None:
    """After an unclean end damage is found, the rest is copied under its own numbers, and new ones begin a new boot."""
    host = FakeHost()
    path = tmp_path / "spool.db"

    async def run() -> None:
        old = await prepare(tmp_path, host)
        damaged = pages_of(path, "record")[5:8:2]
        rows = sum(cells(path, page) for page in damaged)
        unclean(path)
        ruin(path, *damaged)
        async with spool(tmp_path, host=host) as kept:
            state = kept.state()
            assert len(state.set_aside) == 1
            assert kept.boot != old, (
                "what the damaged pages held may have been sent: its numbers are not used again"
            )
            found = await kept.read("meter", old, 0, 10_000, 1 << 30)
            lost = set(range(11, 3001)) - {record.seq for record in found}
            assert len(lost) == rows, "nothing but what was on the ruined pages"
            assert all(record.m == b'{"grid_current":%d}' % (record.seq - 1) for record in found)
            assert await numbers(kept, "node", "0000000a") == list(range(1, 50))
            assert await kept.checkpoint("file") == b"29"
            assert [notice.payload for _, notice in await kept.notices(9)] == [b"kept"]
            assert state.salvaged == len(found) + 49
            held = {one.boot: one for one in await kept.held()}
            assert (held[old].mark, held[old].next_seq, held[old].count) == (10, 3001, len(found))
            await kept.put(readings(1))
            assert await numbers(kept, "meter", kept.boot) == [1]
            # The city hears of the hole as soon as what lies below it is marked.
            await kept.mark("meter", old, min(lost) - 1)
            held = {one.boot: one for one in await kept.held()}
            assert held[old].lo == min(seq for seq in range(min(lost), 3001) if seq not in lost)
        async with spool(tmp_path, host=host) as kept:
            assert kept.state().set_aside == state.set_aside, "it is set aside once"
            assert await numbers(kept, "node", "0000000a") == list(range(1, 50))

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(10))
def test_whatever_is_damaged_the_gateway_starts(tmp_path: Path, seed: int) -> None:
    """Noise or zeros anywhere, the header included: the spool opens and accepts, and shows no record twice."""
    chance = random.Random(seed)
    host = FakeHost()
    path = tmp_path / "spool.db"

    async def run() -> None:
        await prepare(tmp_path, host, 1000)
        unclean(path)
        data = bytearray(path.read_bytes())
        for _ in range(chance.randint(1, 4)):
            length = chance.choice([1, 512, PAGE, 4 * PAGE])
            at = chance.randrange(0, len(data) - length) // min(length, PAGE) * min(length, PAGE)
            data[at : at + length] = chance.choice([bytes(length), chance.randbytes(length)])
        path.write_bytes(data[: len(data) - chance.choice([0, 0, 0, 1, PAGE, 5 * PAGE])])
        async with spool(tmp_path, host=host) as kept:
            await kept.put(readings(2, "pump"), Checkpoint("new", b"1"))
            found = await everything(kept)
            assert [
                [record.seq for record in rows] for (name, _), rows in found.items() if name == "pump"
            ] == [[1, 2]]
            assert await kept.checkpoint("file") in (b"9", None)
            await kept.notices(10)
            for (name, _boot), rows in found.items():
                numbers_ = [record.seq for record in rows]
                assert numbers_ == sorted(set(numbers_))
                texts = [
                    b'{"grid_current":%d}' % (seq - 1) if name == "meter" else rows[0].m for seq in numbers_
                ]
                assert name == "pump" or [record.m for record in rows] == texts
        async with spool(tmp_path, host=host) as kept:
            assert await kept.checkpoint("new") == b"1"

    asyncio.run(run())


def test_a_clean_file_that_is_damaged_is_found_out_while_running(tmp_path: Path) -> None:
    """Damage that is met at run time costs no record that memory has, and whoever waited is served."""
    host = FakeHost()
    path = tmp_path / "spool.db"

    async def run() -> None:
        old = await prepare(tmp_path, host)
        ruin(path, pages_of(path, "record")[3])
        async with spool(tmp_path, host=host) as kept:
            await kept.put(readings(7, "pump"))
            assert kept.boot == old
            found = await kept.read("meter", old, 0, 10_000, 1 << 30)
            assert 2500 < len(found) < 2990
            assert kept.boot != old
            assert len(kept.state().set_aside) == 1
            assert await numbers(kept, "pump", old) == [1, 2, 3, 4, 5, 6, 7]
            await kept.put(readings(1, "pump"))
            assert await numbers(kept, "pump", kept.boot) == [1]
            assert await kept.known("meter", old) == 10

    asyncio.run(run())


def test_a_crash_while_copying_begins_the_copying_again(tmp_path: Path) -> None:
    """Cut off at either renaming or during the copying, the next start finishes it, and nothing is there twice."""
    host = FakeHost()
    path = tmp_path / "spool.db"

    async def run() -> None:
        old = await prepare(tmp_path, host, 1000)
        async with spool(tmp_path, host=host) as kept:  # leaves a log, as a crash would
            await kept.put(readings(3, "pump"))
            for name in ("spool.db", "spool.db-wal"):
                shutil.copy(tmp_path / name, tmp_path / f"{name}.copy")
        path.unlink()
        (tmp_path / "spool.db.copy").rename(tmp_path / "spool.salvage")
        (tmp_path / "spool.db-wal.copy").rename(tmp_path / "spool.db-wal")
        async with spool(tmp_path, host=host) as kept:  # the log found its way to its file
            assert await numbers(kept, "pump", old) == [1, 2, 3]
            first = await everything(kept)
        [done] = aside(path)
        done.rename(tmp_path / "spool.salvage")
        async with spool(
            tmp_path, host=host
        ) as kept:  # the crash came after the copying, before the last name
            assert await everything(kept) == first
            assert kept.state().records == sum(map(len, first.values()))

    asyncio.run(run())


def test_a_disk_without_room_for_the_copy_gets_what_fits(tmp_path: Path) -> None:
    """With the reserve reached the copying ends, nothing is told as lost, and the next start copies the rest."""
    host = FakeHost()
    path = tmp_path / "spool.db"

    async def run() -> None:
        old = await prepare(tmp_path, host)
        unclean(path)
        ruin(path, pages_of(path, "record")[3])
        host.free = 0
        async with spool(tmp_path, replace(ROOMY, spare_bytes=1000), host) as kept:
            assert kept.state().set_aside == ("spool.salvage",)
            assert await kept.checkpoint("file") == b"29"
            assert [one for one in await kept.held() if one.boot == old and one.lo > one.mark + 1] == []
        host.free = 1 << 40
        async with spool(tmp_path, replace(ROOMY, spare_bytes=1000), host) as kept:
            [name] = kept.state().set_aside
            assert name.startswith("spool.corrupt-")
            assert len(await numbers(kept, "meter", old)) > 2800
            assert {one.boot: one.next_seq for one in await kept.held()}[old] == 3001

    asyncio.run(run())


def test_a_long_copying_shows_that_it_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece that is copied counts anew for the watchdog, which would end a big spool's rescue again and again."""
    host, now, ages = FakeHost(), [1000.0], []
    asyncio.run(prepare(tmp_path, host, 1000))
    set_aside(tmp_path / "spool.db")
    writer = Writer(tmp_path / "spool.db", ROOMY, host)

    def a_slow_look(_folder: Path) -> int:
        ages.append(writer.busy_s())
        now[0] += 50  # a piece took so long
        return 1 << 40

    with monkeypatch.context() as patch:
        patch.setattr("qytet_edge.spool.recover._AT_ONCE", 100)
        patch.setattr("qytet_edge.spool.writer.monotonic", lambda: now[0])
        patch.setattr(host, "free_bytes", a_slow_look)
        writer.open()
        assert len(ages) >= 10
        assert set(ages) == {0}
        assert writer.busy_s() == 0

    async def end() -> None:
        writer.start(asyncio.get_running_loop())
        await asyncio.to_thread(writer.close)

    asyncio.run(end())
    assert writer.state().salvaged > 1000


def test_few_corrupt_files_are_kept(tmp_path: Path) -> None:
    """However often a card fails, its remains do not fill it: the newest corrupt files are kept, older ones go."""

    async def run() -> None:
        for number in range(5):
            (tmp_path / "spool.db").write_bytes(b"rubbish %d" % number * 999)
            async with spool(tmp_path) as kept:
                await kept.put(readings(1))
        found = aside(tmp_path / "spool.db")
        assert [file.read_bytes()[:9] for file in found] == [b"rubbish 3", b"rubbish 4"]

    asyncio.run(run())


def test_the_check_after_an_unclean_end_is_bounded(tmp_path: Path) -> None:
    """A check that would take too long is given up, and the spool starts."""

    async def run() -> None:
        host = FakeHost()
        boot = await prepare(tmp_path, host, 10_000)
        unclean(tmp_path / "spool.db")
        async with spool(tmp_path, replace(ROOMY, check_s=-1), host) as kept:
            assert len(await numbers(kept, "meter", boot)) == 9990
            assert kept.state().set_aside == ()

    asyncio.run(run())


def test_the_machine_names_its_boot_and_uptime() -> None:
    """The real machine gives one name for this boot, an uptime that grows, and random names for numberings."""
    host = Host()
    assert host.linux_boot() == host.linux_boot()
    before = host.up_ms()
    assert 0 < before <= host.up_ms()
    assert len({host.new_boot() for _ in range(50)}) == 50
    assert all(len(name) == 8 and int(name, 16) >= 0 for name in (host.new_boot(), host.new_boot()))
