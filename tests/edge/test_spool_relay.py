"""What nearby nodes say in the spool: their records stay as they are, their messages until the broker has them."""

import asyncio
from pathlib import Path

import pytest

from qytet_contract.codes import ContractError
from qytet_edge.records import Notice, Relayed
from qytet_edge.spool import Limits
from tests.edge.spool_support import NOW_MS, numbers, relayed, spool


def test_a_record_in_other_words_is_no_contradiction(tmp_path: Path) -> None:
    """A node that writes its values or its time otherwise when it sends again says the same: nothing goes on twice."""
    said = Relayed("node", "0000000a", 1, None, 5, "none", b'{"pm10":1.50,"no2":null}')
    again = said._replace(t_ms=NOW_MS, tq="ntp", m=b'{ "no2": null, "pm10": 1.5 }')
    other = again._replace(m=b'{"pm10":1.5,"no2":0}')

    async def run() -> None:
        async with spool(tmp_path) as kept:
            for record in (said, again):
                await kept.relay([record])
            state = kept.state()
            assert (state.records, state.duplicates, state.conflicts, state.notices) == (1, 1, 0, 0)
            await kept.relay([other])
            assert (kept.state().conflicts, kept.state().notices) == (1, 1)
            [record] = await kept.read("node", "0000000a", 0, 9, 999)
            assert record.m == said.m

    asyncio.run(run())


def test_relayed_records_stay_as_they_are(tmp_path: Path) -> None:
    """A node's record keeps boot, number, time and the very bytes of its values, in whatever order they come."""

    async def run() -> None:
        odd = Relayed("node", "0000000a", 3, None, 77, "none", b'{ "pm10" : 1.50 }')
        async with spool(tmp_path) as kept:
            await kept.relay([odd, *relayed(9, 1)])
            records = await kept.read("node", "0000000a", 0, 10, 1000)
            assert [record.seq for record in records] == [1, 3, 9]
            assert records[1] == odd[:7]

    asyncio.run(run())


@pytest.mark.parametrize("roll_rows", [4096, 1])
def test_a_relayed_record_twice_changes_nothing(tmp_path: Path, roll_rows: int) -> None:
    """Kept or marked, a record that comes again is counted as a duplicate, and not kept again."""

    async def run() -> None:
        async with spool(tmp_path, Limits(spare_bytes=0, roll_rows=roll_rows)) as kept:
            await kept.relay(relayed(1, 2, 3))
            await kept.mark("node", "0000000a", 1)
            await kept.relay(relayed(1, 2, 3, 3, 4))
            assert await numbers(kept, "node", "0000000a") == [2, 3, 4]
            assert kept.state().duplicates == 4
            assert kept.state().conflicts == 0
            assert await kept.notices(10) == []

    asyncio.run(run())


@pytest.mark.parametrize("roll_rows", [4096, 1])
def test_a_relayed_record_with_anothers_number_goes_to_the_city_as_it_is(
    tmp_path: Path, roll_rows: int
) -> None:
    """Same number, other content: the first stays, the second is passed on for the city to judge."""

    async def run() -> None:
        async with spool(tmp_path, Limits(spare_bytes=0, roll_rows=roll_rows)) as kept:
            await kept.relay(relayed(5))
            await kept.relay(relayed(5, value=8))
            [record] = await kept.read("node", "0000000a", 0, 10, 1000)
            assert record.m == b'{"pm10":7}'
            [(_number, notice)] = await kept.notices(10)
            payload = b'{"v":1,"boot":"0000000a","seq":5,"t":%d,"up":5,"tq":"ntp","m":{"pm10":8}}' % NOW_MS
            assert notice == Notice("node", "obs", payload)
            assert kept.notice_kept.is_set()
            assert kept.state().conflicts == 1

    asyncio.run(run())


def test_lo_of_a_node_never_gives_up_what_is_held_here(tmp_path: Path) -> None:
    """A node that has dropped records speaks for itself: the city hears its `lo` only when nothing below is held."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            await kept.relay(relayed(3, 4, lo=3))
            await kept.relay(relayed(9, lo=9))
            [held] = await kept.held()
            assert (held.own, held.lo) == (False, 3)
            await kept.mark("node", "0000000a", 4)
            [held] = await kept.held()
            assert held.lo == 9
            await kept.mark("node", "0000000a", 9)
            assert await kept.held() == []
            await kept.holds("node", "0000000a", 12)
            [held] = await kept.held()
            assert (held.count, held.mark, held.lo) == (0, 9, 12)

    asyncio.run(run())


def test_notices_stay_until_the_broker_has_them(tmp_path: Path) -> None:
    """Notices come back in order, a retained one replaces the one before it, and `noticed` lets them go."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            for notice in (
                Notice("node", "birth", b"old", retain=True),
                Notice("node", "log", b"1"),
                Notice("node", "birth", b"new", retain=True),
                Notice("node", "ack/42", b"\xff"),
            ):
                await kept.notify(notice)
        async with spool(tmp_path) as kept:
            found = await kept.notices(10)
            assert [notice.payload for _, notice in found] == [b"1", b"new", b"\xff"]
            assert [notice.payload for _, notice in await kept.notices(1, after=found[0][0])] == [b"new"]
            await kept.noticed([number for number, _ in found[:2]] * 2)
            assert [notice.kind for _, notice in await kept.notices(10)] == ["ack/42"]
            assert kept.state().notices == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    "bad", [Notice("node", "stored", b""), Notice("A", "log", b""), Notice("node", "log", bytes(2 << 20))]
)
def test_a_notice_without_a_topic_is_refused(tmp_path: Path, bad: Notice) -> None:
    """What has no topic, or is too long to keep, is refused before it is kept."""

    async def run() -> None:
        async with spool(tmp_path) as kept:
            with pytest.raises(ContractError):
                await kept.notify(bad)

    asyncio.run(run())
