"""The spool in good days: numbers, marks, what is told of losses, and what a restart finds."""

import asyncio
import random
import threading
from pathlib import Path

import pytest

from qytet_contract.codes import ContractError
from qytet_contract.records import MAX_SEQ
from qytet_edge.records import Checkpoint, Reading
from qytet_edge.spool import Limits, Spool, SpoolError
from tests.edge.spool_support import NOW_MS, ROOMY, FakeHost, everything, numbers, readings, relayed, spool


def test_put_is_durable_and_numbered_by_device(tmp_path: Path) -> None:
    """What `put` returned for is there after a restart, numbered from 1 by device, with time, uptime and values."""

    async def run() -> None:
        host = FakeHost()
        async with spool(tmp_path, host=host) as kept:
            await kept.put(
                [Reading("meter", {"grid_current": 1.5, "grid_frequency": None}), *readings(1, "pump")]
            )
            await kept.put(readings(2))
        async with spool(tmp_path, host=host) as kept:
            boot = kept.boot
            assert await numbers(kept, "meter", boot) == [1, 2, 3]
            [first] = await kept.read("meter", boot, 0, 1, 1)
            assert first == (
                "meter",
                boot,
                1,
                NOW_MS,
                10_000,
                "ntp",
                b'{"grid_current":1.5,"grid_frequency":null}',
            )
            assert await numbers(kept, "pump", boot) == [1]

    asyncio.run(run())


def test_numbering_goes_on_within_one_boot_of_linux(tmp_path: Path) -> None:
    """A process that starts again goes on with boot and numbers; another boot of the machine begins a new boot at 1."""

    async def run() -> None:
        host = FakeHost()
        async with spool(tmp_path, host=host) as kept:
            first = kept.boot
            await kept.put(readings(2))
        async with spool(tmp_path, host=host) as kept:
            assert kept.boot == first
            await kept.put(readings(1))
        host.linux, host.up = "linux-2", 5
        async with spool(tmp_path, host=host) as kept:
            assert kept.boot != first
            await kept.put(readings(1))
            assert await numbers(kept, "meter", first) == [1, 2, 3]
            [record] = await kept.read("meter", kept.boot, 0, 10, 1000)
            assert (record.seq, record.up_ms) == (1, 5)

    asyncio.run(run())


def test_a_machine_that_names_no_boot_gets_a_boot_for_each_process(tmp_path: Path) -> None:
    """Where the kernel does not say which boot this is, no process goes on with another one's numbers."""

    async def run() -> None:
        host = FakeHost(linux="")
        boots = set()
        for _ in range(2):
            async with spool(tmp_path, host=host) as kept:
                boots.add(kept.boot)
                await kept.put(readings(1))
        assert len(boots) == 2

    asyncio.run(run())


def test_an_unknown_clock_gives_no_time(tmp_path: Path) -> None:
    """Before the clock is known to be right a record has no time, only its uptime."""

    async def run() -> None:
        async with Spool(tmp_path / "s.db", Limits(spare_bytes=0), host=FakeHost()) as kept:
            await kept.put(readings(1))
            [record] = await kept.read("meter", kept.boot, 0, 1, 1)
            assert (record.t_ms, record.tq, record.up_ms) == (None, "none", 10_000)

    asyncio.run(run())


def test_an_instruments_own_time_keeps_the_boots_anchor(tmp_path: Path) -> None:
    """A reading with a time of its own gets the uptime of that moment; 0, which is no anchor, from before the boot."""

    async def run() -> None:
        async with spool(tmp_path, host=FakeHost()) as kept:
            await kept.put(
                [
                    Reading("meter", {"grid_current": 1}, NOW_MS - back, "gnss")
                    for back in (4_000, 86_400_000, -50)
                ]
            )
            records = await kept.read("meter", kept.boot, 0, 9, 9999)
            assert [(r.t_ms, r.up_ms, r.tq) for r in records] == [
                (NOW_MS - 4_000, 6_000, "gnss"),
                (NOW_MS - 86_400_000, 0, "gnss"),
                (NOW_MS + 50, 10_050, "gnss"),
            ]

    asyncio.run(run())


@pytest.mark.parametrize("known", [True, False])
def test_rows_that_come_at_once_have_instants_of_their_own(known: bool, tmp_path: Path) -> None:
    """Of two values of one datastream at one instant the city keeps the first: several at once are told apart."""

    async def run() -> None:
        host = FakeHost()
        stamp = (NOW_MS, "ntp") if known else (None, "none")
        async with Spool(tmp_path / "spool.db", ROOMY, lambda: stamp, host=host) as kept:
            wide = [Reading("meter", {"grid_current": 1}), Reading("meter", {"grid_frequency": 50})]
            await kept.put(wide)
            await kept.put([*readings(3), *wide, *readings(1, "pump")])
            await kept.put(readings(2))
            host.up += 1000
            await kept.put(readings(1))
            found = await kept.read("meter", kept.boot, 0, 99, 9999)
            made = [0, 0, 1, 2, 3, 4, 4, 5, 6, 1000]
            assert [record.up_ms - 10_000 for record in found] == made
            times = [NOW_MS + at for at in made]
            times[-1] = NOW_MS  # the clock of this test stands still
            assert [record.t_ms for record in found] == (times if known else [None] * 10)
            assert [record.up_ms for record in await kept.read("pump", kept.boot, 0, 9, 9999)] == [10_000]

    asyncio.run(run())


def test_an_instruments_time_is_no_anchor_while_ours_is_unknown(tmp_path: Path) -> None:
    """Nobody knows how long before now a file's row was made: its uptime is not the one of its reading."""

    async def run() -> None:
        async with Spool(tmp_path / "spool.db", ROOMY, host=FakeHost()) as kept:
            await kept.put([Reading("meter", {"grid_current": 1}, NOW_MS - 86_400_000, "rtc"), *readings(1)])
            records = await kept.read("meter", kept.boot, 0, 9, 9999)
            assert [(r.t_ms, r.up_ms) for r in records] == [(NOW_MS - 86_400_000, 0), (None, 10_000)]

    asyncio.run(run())


@pytest.mark.parametrize(
    "bad",
    [
        Reading("meter", {"no_such_property": 1}),
        Reading("meter", {"grid_current": float("nan")}),
        Reading("meter", {"grid_current": 10**400}),
        Reading("meter", {}),
        Reading("Not a slug", {"grid_current": 1}),
        Reading("meter", {"grid_current": 1}, 0, "ntp"),
        Reading("meter", {"grid_current": 1}, NOW_MS, "none"),
    ],
)
def test_a_reading_against_the_contract_keeps_nothing(tmp_path: Path, bad: Reading) -> None:
    """One bad reading refuses the whole put, its checkpoint too: nothing of it is kept, no number is used."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            with pytest.raises(ContractError):
                await kept.put([*readings(1), bad], Checkpoint("file", b"9"))
            assert await kept.checkpoint("file") is None
            assert await kept.held() == []

    asyncio.run(run())


def test_a_number_beyond_64_bits_is_kept_as_a_double(tmp_path: Path) -> None:
    """A whole number that no 64 bits hold becomes the double that every reader of the contract takes it for."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            await kept.put([Reading("meter", {"grid_current": 10**30, "grid_frequency": 3})])
            [record] = await kept.read("meter", kept.boot, 0, 1, 1)
            assert record.m == b'{"grid_current":1e30,"grid_frequency":3}'

    asyncio.run(run())


def test_checkpoint_is_kept_with_its_readings(tmp_path: Path) -> None:
    """A source's checkpoint comes back as it was kept last, also one without readings, also after a restart."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            await kept.put(readings(1), Checkpoint("file", b"\x00\xff1"))
            await kept.put([], Checkpoint("file", b"2"))
        async with spool(tmp_path) as kept:
            assert await kept.checkpoint("file") == b"2"
            assert await kept.checkpoint("other") is None

    asyncio.run(run())


def test_mark_lets_go_and_is_idempotent(tmp_path: Path) -> None:
    """Everything up to a mark is gone for good; a lower, a repeated or an unknown mark changes nothing."""

    async def run() -> None:
        host = FakeHost()
        async with spool(tmp_path, host=host) as kept:
            await kept.put(readings(10))
            for seq in (4, 4, 2):
                await kept.mark("meter", kept.boot, seq)
            await kept.mark("meter", "ffffffff", 3)
            assert await numbers(kept, "meter", kept.boot) == [5, 6, 7, 8, 9, 10]
        async with spool(tmp_path, host=host) as kept:
            [held] = await kept.held()
            assert (held.lowest, held.highest, held.count, held.mark, held.lo) == (5, 10, 6, 4, 5)
            await kept.mark("meter", kept.boot, 10)
            assert await kept.held() == []
            assert await kept.known("meter", kept.boot) == 10
            assert await kept.known("meter", "ffffffff") is None

    asyncio.run(run())


def test_when_all_numbers_are_used_another_boot_begins(tmp_path: Path) -> None:
    """Above the contract's highest number there is none: own records go on from 1 under a new boot."""

    async def run() -> None:
        host = FakeHost()
        async with spool(tmp_path, host=host) as kept:
            first = kept.boot
            await kept.put(readings(1))
            store = kept._writer._store
            assert store is not None
            store.boots["meter", first].next_seq = MAX_SEQ
            await kept.put([*readings(3), *readings(1, "pump")])
            assert await numbers(kept, "meter", first) == [1, MAX_SEQ]
            assert kept.boot != first
            assert await numbers(kept, "meter", kept.boot) == [1, 2]
            assert await numbers(kept, "pump", kept.boot) == [1]
        async with spool(tmp_path, host=host) as again:
            assert again.boot == kept.boot

    asyncio.run(run())


def test_live_records_reach_the_ring_after_their_commit(tmp_path: Path) -> None:
    """Own records and those that a node sent live are offered for live sending, a node's backlog is not."""

    async def run() -> None:
        async with spool(tmp_path, Limits(spare_bytes=0, fresh=3)) as kept:
            await kept.put(readings(1))
            await kept.relay([*relayed(1, lo=1), *relayed(2)])
            await asyncio.wait_for(kept.fresh.wait(), 5)
            assert [(record.device, record.seq) for record in kept.fresh.take(10)] == [
                ("meter", 1),
                ("node", 2),
            ]
            assert kept.fresh.take(10) == []
            await kept.put(readings(5))
            assert [record.seq for record in kept.fresh.take(10)] == [4, 5, 6]
            assert kept.fresh.overflowed == 2

    asyncio.run(run())


def test_writes_that_wait_share_one_transaction(tmp_path: Path) -> None:
    """However many write at once, few transactions carry them, and each is numbered in the order of its call."""

    async def run() -> None:
        under_way, go_on = threading.Event(), threading.Event()

        def slow_disk(_change: object) -> None:
            under_way.set()
            assert go_on.wait(60)

        async with spool(tmp_path) as kept:
            first = asyncio.create_task(kept._write(slow_disk))
            assert await asyncio.to_thread(under_way.wait, 60)
            before = kept.state().commits
            puts = [asyncio.create_task(kept.put(readings(1, first=at))) for at in range(200)]
            await asyncio.sleep(0)
            go_on.set()
            await asyncio.gather(first, *puts)
            assert kept.state().commits - before <= 2, "that of the slow one, and theirs"
            records = await kept.read("meter", kept.boot, 0, 500, 1 << 20)
            assert [record.m for record in records] == [b'{"grid_current":%d}' % at for at in range(200)]

    asyncio.run(run())


def test_read_is_bounded_by_records_and_bytes(tmp_path: Path) -> None:
    """A read gives at most so many records and bytes, but one record at least, so that nothing too long blocks it."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            await kept.put(readings(50))
            assert len(await kept.read("meter", kept.boot, 0, 7, 1 << 20)) == 7
            small = await kept.read("meter", kept.boot, 10, 50, 300)
            assert small[0].seq == 11
            assert 1 < len(small) < 8
            assert len(await kept.read("meter", kept.boot, 0, 50, 1)) == 1
            assert await kept.read("nobody", kept.boot, 0, 50, 1) == []

    asyncio.run(run())


def test_a_closed_spool_says_so(tmp_path: Path) -> None:
    """After closing nothing is accepted any more, and whoever asks is told."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            pass
        with pytest.raises(SpoolError, match="closed"):
            await kept.put(readings(1))
        with pytest.raises(SpoolError, match="closed"):
            await kept.held()

    asyncio.run(run())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_behaves_as_a_dictionary_would(tmp_path: Path, seed: int) -> None:
    """Puts, relays, marks and restarts in any order: what is kept is what a plain dictionary says."""
    chance = random.Random(seed)
    limits = Limits(spare_bytes=0, roll_rows=25)
    host = FakeHost()
    model: dict[tuple[str, str], dict[int, bytes]] = {}
    marks: dict[tuple[str, str], int] = {}
    given: dict[tuple[str, str], int] = {}

    async def step(kept: Spool) -> None:
        what = chance.random()
        if what < 0.45:
            key, count = (chance.choice(["a", "b", "c"]), kept.boot), chance.randint(1, 6)
            await kept.put(readings(count, key[0], first=given.get(key, 0)))
            for _ in range(count):
                value = given[key] = given.get(key, 0) + 1
                model.setdefault(key, {})[value] = b'{"grid_current":%d}' % (value - 1)
        elif what < 0.75:
            key, seqs = ("node", "0000000a"), [chance.randint(1, 120) for _ in range(chance.randint(1, 6))]
            await kept.relay(relayed(*seqs))
            for seq in seqs:
                if seq > marks.get(key, 0):
                    model.setdefault(key, {})[seq] = b'{"pm10":7}'
        elif model:
            key = chance.choice(sorted(model))
            highest = max(model[key], default=0)
            if mark := chance.randint(0, highest):
                marks[key] = max(mark, marks.get(key, 0))
                await kept.mark(*key, mark)
                model[key] = {seq: m for seq, m in model[key].items() if seq > mark}

    async def run() -> None:
        for life in range(4):
            host.linux = f"linux-{life // 2}"
            async with spool(tmp_path, limits, host) as kept:
                for _ in range(40):
                    await step(kept)
                found = {k: {r.seq: r.m for r in rows} for k, rows in (await everything(kept)).items()}
                assert found == {key: dict(sorted(rows.items())) for key, rows in model.items() if rows}
                assert kept.state().records == sum(map(len, model.values()))

    asyncio.run(run())
