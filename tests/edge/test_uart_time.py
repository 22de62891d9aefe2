"""Serial sensors over time, on a clock that the test moves: warm-up, sleep between reports, waking."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from qytet_edge.inbox import uart
from qytet_simulators.instruments.uart import SerialLine
from tests.edge.recording_sink import RecordingSink, running
from tests.edge.uart_support import config, context, line


class Hands:
    """The source's clock, which stands still until the test moves it: no moment passes by itself."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._moved = asyncio.Condition()

    def monotonic(self) -> float:
        return self._now

    async def move(self, seconds: float) -> None:
        self._now += seconds
        async with self._moved:
            self._moved.notify_all()

    async def until(self, due: float) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._now >= due)


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    found = Hands()
    monkeypatch.setattr(uart.source, "time", found)
    monkeypatch.setattr(uart.source, "_until", found.until)
    return found


SPOKEN = 10


async def spoken(wire: SerialLine, source: Any) -> None:
    """The sensor, once it was set up, says some frames, and the source has heard them."""
    assert await asyncio.to_thread(wire.wait, lambda told: bool(told.commands))
    heard = source.state()["frames_good"]
    for _ in range(SPOKEN):
        wire.speak()
    async with asyncio.timeout(60):
        while source.state()["frames_good"] < heard + SPOKEN:  # noqa: ASYNC110 (a source tells nobody)
            await asyncio.sleep(0.001)


async def falls(wire: SerialLine, *, awake: bool) -> None:
    """The sensor is told to wake or to sleep."""
    assert await asyncio.to_thread(wire.wait, lambda _told: wire.model.awake == awake)


def test_the_warm_up_does_not_count(tmp_path: Path, hands: Hands) -> None:
    """What a sensor says during its warm-up is in no report, though it shows that it lives."""

    async def main() -> None:
        sink = RecordingSink()
        source = uart.create(
            config(wire.path, "pms5003", warm_up_s=30, report_s=60, silent_s=600), context(tmp_path)
        )
        wire._values = lambda: {"pm1": 1, "pm2_5": 999, "pm10": 1}
        async with running(source, sink):
            await spoken(wire, source)
            assert sink.beats
            await hands.move(29.9)
            await spoken(wire, source)
            await hands.move(0.1)
            wire._values = lambda: {"pm1": 1, "pm2_5": 7, "pm10": 1}
            await spoken(wire, source)
            assert not sink.readings
            await hands.move(30)
            await sink.until(lambda: len(sink.readings) == 1)
        assert source.state()["frames_in_last_report"] == SPOKEN
        assert sink.values("pm2_5") == [7]

    with line(tmp_path, "pms5003", period_s=None) as wire:
        wire.silent = False
        asyncio.run(main())


@pytest.mark.parametrize("sensor", ["pms5003", "sds011"])
def test_sleeps_between_reports(tmp_path: Path, sensor: str, hands: Hands) -> None:
    """With a duty cycle the sensor is awake for warm-up and sample only, asleep in between, and asleep at the end."""

    async def main() -> None:
        sink = RecordingSink()
        cycle = {"duty_cycle": True, "report_s": 300, "warm_up_s": 30, "sample_s": 30, "silent_s": 600}
        source = uart.create(config(wire.path, sensor, **cycle), context(tmp_path))
        wire.model.awake = False  # as it was left by an earlier life
        async with running(source, sink):
            for reports in (1, 2):
                await falls(wire, awake=True)
                await hands.move(30)
                await spoken(wire, source)
                assert wire.model.awake
                await hands.move(30)
                await falls(wire, awake=False)
                await sink.until(lambda reports=reports: len(sink.readings) == reports)  # type: ignore[misc]
                await hands.move(239)
                assert not wire.model.awake
                await hands.move(1)
            await falls(wire, awake=True)
        await falls(wire, awake=False)
        assert not sink.troubles

    with line(tmp_path, sensor, period_s=None) as wire:
        wire.silent = False
        asyncio.run(main())


def test_a_lost_sleep_command_is_sent_again(tmp_path: Path, hands: Hands) -> None:
    """A sensor that goes on speaking when it should sleep is told again, and what it says does not count."""

    async def main() -> None:
        sink = RecordingSink()
        cycle = {"duty_cycle": True, "report_s": 300, "warm_up_s": 30, "sample_s": 30, "silent_s": 600}
        source = uart.create(config(wire.path, "sds011", **cycle), context(tmp_path))
        async with running(source, sink):
            await spoken(wire, source)
            await hands.move(30)
            await spoken(wire, source)
            await hands.move(30)
            await sink.until(lambda: len(sink.readings) == 1)
            await falls(wire, awake=False)
            told, wire.model.awake = len(wire.told.commands), True
            await spoken(wire, source)
            assert len(wire.told.commands) == told, "frames that were under way are no reason"
            await hands.move(3)
            await spoken(wire, source)
            await falls(wire, awake=False)
            await hands.move(237)
            await falls(wire, awake=True)
        assert len(sink.readings) == 1

    with line(tmp_path, "sds011", period_s=None) as wire:
        wire.silent = False
        asyncio.run(main())
