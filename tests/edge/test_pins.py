"""Pulses on pins: each counts once, bounces and spikes not at all, restarts change nothing."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpiozero.pins.mock
import pytest
from gpiozero.pins.mock import MockFactory
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qytet_edge.inbox import pins
from qytet_edge.inbox.kinds import SOURCES, Context, model
from qytet_edge.inbox.pins.counter import Counter
from qytet_edge.inbox.pins.finder import PulseFinder
from tests.edge.pins_support import READ, Street, context, watched
from tests.edge.quick_time import LoopTime, quickly
from tests.edge.recording_sink import RecordingSink, running


@pytest.fixture
def street(monkeypatch: pytest.MonkeyPatch) -> Iterator[Street]:
    factory = MockFactory()
    found = Street(factory)
    monkeypatch.setattr(gpiozero.pins.mock, "monotonic", lambda: found.now)
    monkeypatch.setattr(pins.counter, "time", LoopTime)
    yield found
    factory.reset()


def counter(street: Street, **more: Any) -> Counter:
    usual = {"kind": "pulses", "name": "meter", "pin": 17, "litres_per_pulse": 10, "report_s": 0.05}
    found = pins.create(READ.validate_python({**usual, **more}), context(street))
    assert isinstance(found, Counter)
    return found


@given(
    widths=st.lists(st.floats(0.002, 5), min_size=1, max_size=20),
    bounces=st.lists(st.integers(0, 6), min_size=20, max_size=20),
    late=st.booleans(),
)
def test_a_pulse_counts_once_however_it_bounces(widths: list[float], bounces: list[int], late: bool) -> None:
    """Bounces at closing and opening add nothing and take nothing away, whatever the widths."""
    finder = PulseFinder(0.05, 0.001, active=False)
    now, found = 100.0, 0
    for width, times in zip(widths, bounces, strict=False):
        edges = [(now + 0.0008 * n, n % 2 == 0) for n in range(2 * times + 1)]
        end = edges[-1][0] + width
        edges += [(end, False)]
        edges += [(end + 0.0008 * (n + 1), n % 2 == 0) for n in range(2 * times * late)]
        found += sum(finder.edge(at, active=active) for at, active in edges)
        now = edges[-1][0] + 0.0501
    assert found == len(widths)


def test_a_spike_is_no_pulse() -> None:
    """What is shorter than the shortest pulse does not count, and does not hide the pulse after it."""
    finder = PulseFinder(0.05, 0.001, active=False)
    assert not finder.edge(1.0, active=True)
    assert not finder.edge(1.0002, active=False)
    assert not finder.edge(2.0, active=True)
    assert finder.edge(2.1, active=False)


def test_an_edge_that_was_never_told_costs_no_pulse() -> None:
    """Two activations in a row hold a release that the kernel swallowed: the first pulse still counts."""
    finder = PulseFinder(0.05, 0.001, active=False)
    assert not finder.edge(1.0, active=True)
    assert finder.edge(2.0, active=True)
    assert finder.edge(3.0, active=True) is False
    assert not finder.edge(2.5, active=False)
    assert finder.edge(4.0, active=True) is False
    assert finder.edge(5.0, active=False)


def test_counts_what_the_meter_turns(street: Street) -> None:
    """A bouncing reed contact gives total and rate in the catalogue's units, with what the meter showed before."""

    async def main() -> None:
        sink = RecordingSink()
        source = counter(street, initial=123.4)
        async with running(source, sink):
            await sink.until(lambda: bool(sink.readings))
            for _ in range(50):
                street.pulse()
            await sink.until(lambda: sink.values("water_volume_total")[-1] == 123.9)
        assert sink.values("water_volume_total")[0] == 123.4
        assert max(rate for rate in sink.values("water_flow_rate") if rate is not None) > 0
        assert source.streams == {"gw-1": ("water_volume_total", "water_flow_rate")}

    quickly(main())


def test_a_crash_at_any_moment_counts_nothing_twice(street: Street) -> None:
    """Whatever transaction is the last before a crash: amounts told and pulses kept agree, and a new life goes on."""

    async def main() -> None:
        sink = RecordingSink()
        moments: list[tuple[bytes, int]] = []
        rain = {"litres_per_pulse": None, "per_pulse": 0.2, "amount": "precipitation_amount"}
        told = lambda of: round(sum(value or 0 for value in of.values("precipitation_amount")) / 0.2)  # noqa: E731
        sink.seen = lambda: moments.append((sink.checkpoints["meter"], told(sink)))
        async with running(counter(street, **rain, checkpoint_s=0.01), sink):
            await watched(street)
            for done in range(1, 40):
                street.pulse()
                if done % 4 == 0:
                    count = len(moments)
                    await sink.until(lambda count=count: len(moments) > count)  # type: ignore[misc]
            await sink.until(lambda: told(sink) == 39)
        assert len(moments) >= 9
        for state, told_then in moments[:: len(moments) // 5]:
            after = RecordingSink({"meter": state})
            again = counter(street, **rain)
            async with running(again, after):
                await watched(street)
                kept = again.state()["pulses"]
                street.pulse()
                await settled(after, again)
            assert again.state()["pulses"] == kept + 1  # type: ignore[operator]
            assert told_then + told(after) == again.state()["pulses"]

    async def settled(sink: RecordingSink, source: Counter) -> None:
        """Every pulse is told: a report came after the pulse."""
        await sink.until(lambda: json.loads(sink.checkpoints["meter"])["told"] == source.state()["pulses"])

    quickly(main())


def test_an_orderly_stop_loses_no_pulse(street: Street) -> None:
    """What was counted since the last checkpoint is kept when the source is stopped or started anew."""

    async def main() -> None:
        sink = RecordingSink()
        source = counter(street, report_s=60, checkpoint_s=60)
        for pulses in (3, 8):
            async with running(source, sink):
                await watched(street)
                for _ in range(pulses):
                    street.pulse()
        assert sink.checkpoints["meter"] == b'{"pulses": 11, "told": 0}'
        assert not sink.readings

    quickly(main())


def test_a_quiet_meter_writes_nothing(street: Street) -> None:
    """Without a pulse nothing is written between reports, yet the source shows that it lives."""

    async def main() -> None:
        sink = RecordingSink()
        writes: list[int] = []
        sink.seen = lambda: writes.append(1)
        async with running(counter(street, report_s=60, checkpoint_s=0.01), sink):
            await sink.until(lambda: sink.beats > 5)
        assert not writes

    quickly(main())


def test_counting_goes_on_while_the_disk_is_full(street: Street) -> None:
    """Pulses while nothing can be written are in the first report after it."""

    async def main() -> None:
        sink = RecordingSink()
        async with running(counter(street), sink):
            await sink.until(lambda: bool(sink.readings))
            sink.full = True
            for _ in range(30):
                street.pulse()
                await asyncio.sleep(0.002)
            before = len(sink.readings)
            await sink.has_room()
            await sink.until(lambda: len(sink.readings) > before + 1)
        assert sink.values("water_volume_total")[-1] == 0.3

    quickly(main())


@pytest.mark.parametrize("state", [b"", b"[]", b'{"pulses": null}', b"\xff\x00"])
def test_a_count_that_cannot_be_read_is_said(street: Street, state: bytes) -> None:
    """A checkpoint that is garbage is trouble, and counting begins anew instead of never."""

    async def main() -> None:
        sink = RecordingSink({"meter": state})
        async with running(counter(street), sink):
            await sink.until(lambda: bool(sink.readings))
        assert "cannot be read" in sink.troubles[0]

    quickly(main())


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"kind": "pulses"}, "litres_per_pulse"),
        ({"kind": "pulses", "per_pulse": 1}, "at least one"),
        ({"kind": "pulses", "per_pulse": 1, "litres_per_pulse": 1}, "either"),
        ({"kind": "pulses", "per_pulse": 1, "total": "water_volume"}, "no key of the catalogue"),
        ({"kind": "pulses", "litres_per_pulse": 1, "rate": "rainfall_rate"}, "not m3/h"),
        ({"kind": "pulses", "litres_per_pulse": 1, "total": "cabinet_energy_total"}, "m3"),
        ({"kind": "contact", "key": "door"}, "no key of the catalogue"),
        ({"kind": "contact", "key": "pump_running", "pin": "17;"}, "pin"),
        ({"kind": "contact", "key": "pump_running", "active": "high"}, "at rest"),
    ],
)
def test_a_wrong_configuration_is_explained(fields: dict[str, Any], says: str) -> None:
    """What cannot be meant is refused when the configuration is read, with the reason."""
    with pytest.raises(ValidationError, match=says):
        model(SOURCES, fields["kind"]).model_validate({"name": "s", "pin": 17, **fields})


def test_the_doctor_checks_the_pin(street: Street) -> None:
    """The check knows the board's pins, claims none, and says what to do where there are none."""

    async def check(pin: int, where: Context) -> str:
        config = READ.validate_python({"kind": "contact", "name": "door", "pin": pin, "key": "pump_running"})
        (finding,) = await pins.probe(config, where)
        assert finding.state == "ok" or finding.do
        return finding.state

    assert asyncio.run(check(17, context(street))) == "ok"
    assert asyncio.run(check(99, context(street))) == "problem"
    if not list(Path("/dev").glob("gpiochip*")):
        bare = Context(city="korce", gateway="gw-1", folder=Path(), data_dir=Path())
        assert asyncio.run(check(17, bare)) == "problem"
