"""The spool's bounds: what is dropped, in which order, how it is counted, and what the city can be told of it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from qytet_edge.records import Notice, Record
from qytet_edge.spool import Limits, Spool
from tests.edge.spool_support import ROOMY, FakeHost, numbers, readings, relayed, spool

SMALL = replace(ROOMY, bytes=400_000, roll_rows=200)


async def fill(kept: Spool, rounds: int, *devices: str, size: int = 100) -> None:
    """Put so many rounds of readings of each device."""
    for _ in range(rounds):
        await asyncio.gather(*(kept.put(readings(size, device)) for device in devices))


def test_the_oldest_go_when_the_size_is_reached(tmp_path: Path) -> None:
    """Beyond its size the spool drops the lowest numbers, counts them, tells `lo`, and keeps the newest."""

    async def run() -> None:
        host = FakeHost()
        async with spool(tmp_path, SMALL, host) as kept:
            await fill(kept, 15, "meter", size=1000)
            await kept.held()
            found = await numbers(kept, "meter", kept.boot)
            [held] = await kept.held()
            state = kept.state()
            assert state.bytes <= SMALL.bytes * 1.1
            assert found == list(range(found[0], 15_001)), "what is left is contiguous up to the newest"
            assert found[0] > 1
            assert (held.lo, held.dropped, state.dropped) == (found[0], found[0] - 1, found[0] - 1)
            assert state.records == len(found)
        async with spool(tmp_path, SMALL, host) as kept:
            assert kept.state().dropped == found[0] - 1, "the count outlives the process"
            [held] = await kept.held()
            assert held.dropped == found[0] - 1
            await kept.put(readings(1))
            assert (await kept.held())[0].highest == 15_001

    asyncio.run(run())


def test_the_file_stays_bounded_while_records_come_and_go(tmp_path: Path) -> None:
    """What is marked makes room for what comes: after any number of records the file is as large as after a few."""

    async def run() -> None:
        peaks, sizes = [], []
        async with spool(tmp_path, replace(ROOMY, roll_rows=200)) as kept:
            for part in range(12):
                await fill(kept, 1, "meter", "pump", size=1000)
                peaks.append(kept.state().bytes)
                for device in ("meter", "pump"):
                    await kept.mark(device, kept.boot, (part + 1) * 1000 - 50)
                sizes.append(kept.state().bytes)
        assert max(sizes) <= 2 * sizes[0]
        assert (tmp_path / "spool.db").stat().st_size <= 2.5 * max(peaks[:2])

    asyncio.run(run())


def test_devices_lose_alike(tmp_path: Path) -> None:
    """The oldest records of all devices go, not all of one: what is left of each reaches back about as far."""

    async def run() -> None:
        host = FakeHost()
        async with spool(tmp_path, SMALL, host) as kept:
            for _ in range(50):
                host.up += 60_000
                await fill(kept, 1, "a", "b", "c", size=150)
            lows = [held.lowest for held in await kept.held()]
            assert min(lows) > 1
            assert max(lows) - min(lows) <= 300

    asyncio.run(run())


@pytest.mark.parametrize("roll_rows", [4096, 1])
def test_age_drops_only_what_is_older(tmp_path: Path, roll_rows: int) -> None:
    """Records go after so many seconds of running; a machine that was off, or a jumping clock, ages nothing."""

    async def run() -> None:
        host = FakeHost()
        limits = replace(ROOMY, age_s=3600, roll_rows=roll_rows)
        async with spool(tmp_path, limits, host) as kept:
            boot = kept.boot
            await kept.put(readings(5))
            host.up += 1800_000
            await kept.put(readings(5))
        host.linux, host.up = "linux-2", 0
        async with spool(tmp_path, limits, host) as kept:
            assert len(await numbers(kept, "meter", boot)) == 10, "a day in a drawer"
            host.up += 1900_000
            await kept.put(readings(1, "pump"))
            await kept.put(readings(1, "pump"))
            assert await numbers(kept, "meter", boot) == [6, 7, 8, 9, 10]
            [held, _pump] = await kept.held()
            assert (held.lo, held.dropped, kept.state().dropped) == (6, 5, 5)

    asyncio.run(run())


def test_a_boot_that_lost_everything_is_still_told(tmp_path: Path) -> None:
    """When nothing of a boot is left and not all of it was marked, it is listed with a `lo` above its last number."""

    async def run() -> None:
        host = FakeHost()
        limits = replace(ROOMY, age_s=60)
        async with spool(tmp_path, limits, host) as kept:
            await kept.put(readings(5))
            host.up += 100_000
            await kept.put(readings(1, "pump"))
            await kept.put(readings(1, "pump"))
            held = {one.device: one for one in await kept.held()}["meter"]
            assert (held.count, held.lowest, held.lo, held.next_seq) == (0, 0, 6, 6)
            await kept.mark("meter", kept.boot, 5)
            assert [one.device for one in await kept.held()] == ["pump"]

    asyncio.run(run())


def test_a_nodes_dropped_records_are_not_lost(tmp_path: Path) -> None:
    """Dropped here, a node's records are not told as lost, and are accepted when the node sends them again."""

    async def run() -> None:
        host = FakeHost()
        async with spool(tmp_path, replace(ROOMY, age_s=60), host) as kept:
            await kept.relay(relayed(1, 2, 3, lo=1))
            host.up += 100_000
            await kept.put(readings(1))
            await kept.relay(relayed(4))
            [held] = [one for one in await kept.held() if one.device == "node"]
            assert (held.lowest, held.lo, held.dropped) == (4, 1, 3)
            assert (kept.state().dropped, kept.state().let_go) == (0, 3)
            await kept.relay(relayed(1, 2, 3, lo=1))
            assert await numbers(kept, "node", "0000000a") == [1, 2, 3, 4]
            assert kept.state().duplicates == 0

    asyncio.run(run())


def test_a_huge_mark_is_swept_in_pieces(tmp_path: Path) -> None:
    """After a mark over a long backlog nothing of it is given out any more, and the space comes back."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            await fill(kept, 3, "meter", size=10_000)
            full = kept.state().bytes
            await kept.mark("meter", kept.boot, 29_990)
            assert await numbers(kept, "meter", kept.boot) == list(range(29_991, 30_001))
            await fill(kept, 5, "pump", size=1)
            assert kept.state().records == 15
            assert kept.state().bytes < full / 4

    asyncio.run(run())


def test_notices_are_bounded_and_retained_ones_stay(tmp_path: Path) -> None:
    """Beyond their number the oldest notices go and are counted; births and states are not among them."""

    async def run() -> None:
        async with spool(tmp_path, replace(ROOMY, notices=10)) as kept:
            await kept.notify(Notice("node", "birth", b"here", retain=True))
            for number in range(30):
                await kept.notify(Notice("node", "log", b"%d" % number))
            found = [notice.payload for _, notice in await kept.notices(100)]
            assert found == [b"here", *(b"%d" % number for number in range(21, 30))]
            assert (kept.state().notices, kept.state().notices_dropped) == (10, 21)

    asyncio.run(run())


def test_nonsense_pushes_no_records_out(tmp_path: Path) -> None:
    """Long messages that no reader understands are bounded by their bytes; the newest stay, and so do all records."""

    async def run() -> None:
        async with spool(tmp_path, replace(ROOMY, bytes=8 << 20, notice_bytes=4 << 20)) as kept:
            await kept.put(readings(5000))
            for number in range(40):
                await kept.notify(Notice("node", "log", b"%d" % number))
                await kept.notify(Notice("node", "hist", b"%07d" % number + bytes((1 << 18) - 7)))
            found = await kept.notices(100)
            long = [notice.payload[:7] for _, notice in found if notice.kind == "hist"]
            assert long == [b"%07d" % number for number in range(36, 40)]
            assert len(found) == 44
            state = kept.state()
            assert (state.notices, state.notices_dropped, state.dropped, state.records) == (44, 36, 0, 5000)
            assert state.bytes < 4 << 20

    asyncio.run(run())


def test_boots_of_which_nothing_is_held_are_forgotten(tmp_path: Path) -> None:
    """A node that restarts for ever does not fill the memory: the oldest idle boots are forgotten, held ones never."""

    async def run() -> None:
        async with spool(tmp_path, replace(ROOMY, boots=20)) as kept:
            await kept.relay(relayed(1, boot="00000000"))
            for number in range(1, 60):
                name = f"{number:08x}"
                await kept.relay(relayed(1, boot=name))
                await kept.mark("node", name, 1)
            await kept.put(readings(1))
            assert await kept.known("node", "00000000") == 0
            assert await kept.known("node", "00000001") is None
            assert await kept.known("node", f"{59:08x}") == 1
            assert await numbers(kept, "node", "00000000") == [1]

    asyncio.run(run())


def test_memory_holds_no_more_than_the_intake(tmp_path: Path) -> None:
    """A backlog of many times the intake leaves at most the intake in memory."""

    async def run() -> None:
        limits = Limits(spare_bytes=0, roll_rows=500)
        async with spool(tmp_path, limits) as kept:
            await fill(kept, 8, "meter", "pump", size=500)
            await kept.held()
            store = kept._writer._store
            assert store is not None
            mirrored: list[Record] = [r for boot in store.boots.values() for _, r in boot.intake.values()]
            assert len(mirrored) <= 2 * limits.roll_rows
            assert kept.state().records == 8000

    asyncio.run(run())
