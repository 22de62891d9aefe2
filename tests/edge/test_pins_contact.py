"""Contacts on pins: each change that stands is told once, with its own time, and a bounce is not."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpiozero.pins.mock
import pytest
from gpiozero.pins.mock import MockFactory

from qytet_edge.desk import Account, Desk
from qytet_edge.inbox import pins
from qytet_edge.inbox.pins.contact import Contact
from qytet_edge.spool import Limits, Spool
from tests.edge.pins_support import READ, Street, context
from tests.edge.quick_time import LoopTime, quickly
from tests.edge.recording_sink import RecordingSink, ended, running
from tests.edge.spool_support import NOW_MS, FakeHost


@pytest.fixture
def street(monkeypatch: pytest.MonkeyPatch) -> Iterator[Street]:
    factory = MockFactory()
    found = Street(factory)
    monkeypatch.setattr(gpiozero.pins.mock, "monotonic", lambda: found.now)
    monkeypatch.setattr(pins.counter, "time", LoopTime)
    yield found
    factory.reset()


def contact(street: Street, **more: Any) -> Contact:
    usual = {"kind": "contact", "name": "door", "pin": 17, "key": "cabinet_door_open", "debounce_ms": 20}
    found = pins.create(READ.validate_python({**usual, **more}), context(street))
    assert isinstance(found, Contact)
    return found


def test_a_pin_is_one_users_only(street: Street) -> None:
    """A second source on the same pin ends with an OSError that names source and pin."""

    async def main() -> None:
        sink = RecordingSink()
        both = context(street)
        first, second = (
            pins.create(
                READ.validate_python({"kind": "contact", "name": name, "pin": 4, "key": "pump_running"}), both
            )
            for name in ("one", "two")
        )
        async with running(first, sink):
            await sink.until(lambda: bool(sink.readings))
            async with running(second, sink) as task:
                error = await ended(task)
        assert isinstance(error, OSError)
        assert "source two, pin 4" in str(error)

    quickly(main())


def test_a_contact_is_told_when_it_changes(street: Street) -> None:
    """The first state and each change that stands are told once; a bounce is not."""

    async def main() -> None:
        sink = RecordingSink()
        async with running(contact(street, invert=True), sink):
            await sink.until(lambda: len(sink.readings) == 1)
            for expected in (2, 3, 4):
                for _ in range(4):
                    (street.close_contact if expected % 2 == 0 else street.open_contact)()
                    (street.open_contact if expected % 2 == 0 else street.close_contact)()
                (street.close_contact if expected % 2 == 0 else street.open_contact)()
                await sink.until(lambda expected=expected: len(sink.readings) == expected)  # type: ignore[misc]
            street.open_contact()
            street.close_contact()
            await asyncio.sleep(0.06)  # nothing is to come: there is no event to wait for
        assert sink.values("cabinet_door_open") == [1, 0, 1, 0]
        assert not sink.troubles

    quickly(main())


def test_a_chattering_contact_is_trouble_and_still_told(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A contact that never comes to rest is said to chatter, and holds up nobody."""
    monkeypatch.setattr(pins.contact, "_CHATTER_S", 0.1)

    async def main() -> None:
        sink = RecordingSink()
        async with running(contact(street), sink):
            await sink.until(lambda: len(sink.readings) == 1)
            while not sink.troubles:
                street.close_contact()
                street.open_contact()
                await asyncio.sleep(0.005)
            street.close_contact()
            await sink.until(lambda: sink.values("cabinet_door_open")[-1] == 1)

    quickly(main())


def test_an_unchanged_contact_has_a_heartbeat(street: Street) -> None:
    """The same state is told again after the heartbeat, so that silence means a fault."""

    async def main() -> None:
        sink = RecordingSink()
        async with running(contact(street, heartbeat_s=0.03), sink):
            await sink.until(lambda: len(sink.readings) >= 4)
        assert set(sink.values("cabinet_door_open")) == {0}

    quickly(main())


def test_short_openings_are_told_while_the_disk_waits(street: Street) -> None:
    """Changes during a slow write are told one by one afterwards; more than 256 are counted as lost."""

    async def main() -> None:
        sink = RecordingSink()
        source = contact(street, debounce_ms=0)
        async with running(source, sink):
            await sink.until(lambda: len(sink.readings) == 1)
            sink.full = True
            for _ in range(3):
                for act in (street.close_contact, street.open_contact):
                    last = source.state()["state"]
                    act()
                    while source.state()["state"] == last:  # noqa: ASYNC110 (it is the state that is tested)
                        await asyncio.sleep(0)
            for _ in range(10):  # until the last put waits behind the others
                await asyncio.sleep(0)
            await sink.has_room()
            await sink.until(lambda: len(sink.readings) == 7)
            assert sink.values("cabinet_door_open") == [0, 1, 0, 1, 0, 1, 0]
            assert source.state()["lost"] == 0

    quickly(main())


def test_a_change_at_the_moment_of_the_stop_is_kept(street: Street) -> None:
    """A door that moved just before the stop is told, if the disk takes it soon; a full one holds up no end."""

    async def main(*, room: bool) -> list[float | int | None]:
        sink = RecordingSink()
        source = contact(street, debounce_ms=0, invert=True)
        async with running(source, sink) as task:
            await sink.until(lambda: len(sink.readings) == 1)
            sink.full = True
            street.close_contact()
            while source.state()["state"] == 1:  # noqa: ASYNC110 (it is the state that is tested)
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(1)
            if room:
                await sink.has_room()
            await asyncio.wait({task}, timeout=5)
            assert task.cancelled()
        street.open_contact()
        return sink.values("cabinet_door_open")

    assert quickly(main(room=True)) == [1, 0]
    assert quickly(main(room=False)) == [1]


def test_a_change_bears_its_own_time_however_long_the_disk_was_full(street: Street, tmp_path: Path) -> None:
    """A door that moved while nothing could be written moved then, not when there was room again."""
    host, now = FakeHost(), [NOW_MS]

    async def main() -> None:
        limits = Limits(spare_bytes=1 << 20)
        async with Spool(tmp_path / "spool.db", limits, lambda: (now[0], "ntp"), host=host) as kept:
            source = contact(street, debounce_ms=0)
            async with running(source, Desk(Account("door"), kept)):
                await kept.fresh.wait()
                host.free = 0
                for act in (street.close_contact, street.open_contact):
                    now[0] += 60_000
                    waiting = kept.state().waiting
                    act()
                    while kept.state().waiting == waiting:  # noqa: ASYNC110 (the spool tells nobody)
                        await asyncio.sleep(0.001)
                now[0] += 3_600_000
                host.free = 1 << 40
                while kept.state().records < 3:  # noqa: ASYNC110 (the spool tells nobody)
                    await asyncio.sleep(0.001)
                found = await kept.read("gw-1", kept.boot, 0, 9, 9999)
        assert [record.t_ms for record in found] == [NOW_MS, NOW_MS + 60_000, NOW_MS + 120_000]

    asyncio.run(asyncio.wait_for(main(), 60))
