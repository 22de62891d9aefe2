"""Chips on I2C: whatever happens on the wires, no wrong value, and it mends itself."""

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from qytet_edge.inbox import i2c
from qytet_edge.inbox.i2c.bus import ChecksumError, LinuxBus
from qytet_edge.inbox.i2c.config import Config, driver
from qytet_simulators.instruments.i2c import ChipModel
from qytet_simulators.instruments.i2c_chips import Bme280Model
from tests.edge.i2c_support import EXPECTED, LOOP, MODELS, Wires, config, context
from tests.edge.recording_sink import RecordingSink, ended, running


@pytest.fixture
def wires(monkeypatch: pytest.MonkeyPatch) -> Wires:
    return Wires(monkeypatch)


@pytest.mark.parametrize("chip", ["scd41", "sps30"])
def test_a_spoilt_word_is_no_measurement(wires: Wires, chip: str) -> None:
    """A wrong bit anywhere in an answer is trouble, and its sample is in no report."""

    async def main() -> None:
        wires.connect(chip)
        sink = RecordingSink()
        source = wires.source(chip)
        async with running(source, sink):
            await sink.until(lambda: len(sink.readings) >= 1)
            wires.bus.spoilt[MODELS[chip][0]] = 40
            await sink.until(lambda: len(sink.troubles) >= 20)
            await sink.until(lambda: wires.bus.spoilt[MODELS[chip][0]] == 0)
            before = len(sink.readings)
            await sink.until(lambda: len(sink.readings) > before + 1)
        assert all("wrong CRC" in what for what in sink.troubles)
        for key, value in EXPECTED[chip].items():
            assert sink.values(key) == pytest.approx([value] * len(sink.readings), rel=2e-3, abs=0.01)

    asyncio.run(main())


@pytest.mark.parametrize("chip", MODELS)
def test_a_chip_that_falls_silent_comes_back(wires: Wires, chip: str) -> None:
    """A chip that does not answer is trouble, not the end: after a power cut it is set up anew and measures right."""

    async def main() -> None:
        model = wires.connect(chip)
        sink = RecordingSink()
        source = wires.source(chip)
        async with running(source, sink) as task:
            await sink.until(lambda: len(sink.readings) >= 1)
            address = MODELS[chip][0]
            wires.bus.chips.pop(address)
            await sink.until(lambda: len(sink.troubles) >= 5)
            silent, beats = len(sink.readings), sink.beats
            await sink.until(lambda: len(sink.troubles) >= 25)
            assert (len(sink.readings) - silent, sink.beats - beats) in {(0, 0), (1, 0)}
            model.power_cycle()
            wires.bus.chips[address] = model
            back = len(sink.readings)
            await sink.until(lambda: len(sink.readings) >= back + 2)
            assert not task.done()
        for key, value in EXPECTED[chip].items():
            assert sink.values(key) == pytest.approx([value] * len(sink.readings), rel=2e-3, abs=0.01)

    asyncio.run(main())


@pytest.mark.parametrize("chip", MODELS)
def test_a_short_power_cut_makes_no_value(wires: Wires, chip: str) -> None:
    """A chip that loses its settings between two samples gives no wrong value: it is noticed and set up anew."""

    async def main() -> None:
        model = wires.connect(chip)
        sink = RecordingSink()
        source = wires.source(chip)
        source._patience_s = 0.05
        async with running(source, sink):
            for _ in range(5):
                seen = len(sink.readings)
                await sink.until(lambda seen=seen: len(sink.readings) > seen)  # type: ignore[misc]
                model.power_cycle()
            seen = len(sink.readings)
            await sink.until(lambda: len(sink.readings) > seen)
        for key, value in EXPECTED[chip].items():
            assert sink.values(key) == pytest.approx([value] * len(sink.readings), rel=2e-3, abs=0.01)

    asyncio.run(main())


def test_a_held_bus_and_refusals_are_trouble(wires: Wires) -> None:
    """A data line that is held down and single refusals are said, and pass."""

    async def main() -> None:
        wires.connect("bme280")
        sink = RecordingSink()
        async with running(wires.source("bme280"), sink):
            await sink.until(lambda: len(sink.readings) >= 1)
            wires.bus.held_down = True
            await sink.until(lambda: any("timed out" in what for what in sink.troubles))
            wires.bus.held_down = False
            wires.bus.nacks[0x76] = 7
            await sink.until(lambda: any("I/O error" in what for what in sink.troubles))
            before = len(sink.readings)
            await sink.until(lambda: len(sink.readings) > before + 1)

    asyncio.run(main())


def test_an_absent_bus_ends_the_source(wires: Wires) -> None:
    """Without the bus the source ends with an OSError, for the supervisor to begin again; then it works."""

    async def main() -> None:
        wires.connect("bme280")
        wires.absent = True
        sink = RecordingSink()
        source = wires.source("bme280")
        async with running(source, sink) as task:
            assert isinstance(await ended(task), FileNotFoundError)
        wires.absent = False
        async with running(source, sink):
            await sink.until(lambda: len(sink.readings) >= 1)

    asyncio.run(main())


def test_another_chip_is_not_believed(wires: Wires) -> None:
    """A BMP280 that is sold as a BME280 gives trouble that names it, and no humidity out of thin air."""

    async def main() -> None:
        wires.bus.chips[0x76] = Bme280Model(lambda: wires.truth, chip_id=0x58)
        sink = RecordingSink()
        async with running(wires.source("bme280"), sink):
            await sink.until(lambda: len(sink.troubles) >= 3)
        assert "BMP280" in sink.troubles[0]
        assert not sink.readings

    asyncio.run(main())


def test_a_chip_with_nothing_to_say_is_trouble(wires: Wires) -> None:
    """A chip that answers but never has a new measurement is said and started anew."""

    async def main() -> None:
        model = wires.connect("scd41")
        model.ready = False
        sink = RecordingSink()
        source = wires.source("scd41")
        source._patience_s = 0.05
        async with running(source, sink):
            await sink.until(lambda: len(sink.troubles) >= 2)
            assert sink.beats == 0
            assert model.commands.count(0x21B1) >= 2
            model.ready = True
            await sink.until(lambda: len(sink.readings) >= 1)

    asyncio.run(main())


def test_the_end_waits_for_no_pause(wires: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping a source in the middle of a data sheet's pause does not wait for it, and closes the bus."""
    monkeypatch.setattr("qytet_edge.inbox.i2c.scd41._STOP_S", 600.0)

    async def main() -> None:
        wires.connect("scd41")
        sink = RecordingSink()
        source = i2c.create(config("scd41"), context())
        loop = asyncio.get_running_loop()
        entered = asyncio.Event()
        wires.bus.on_transfer = lambda: loop.call_soon_threadsafe(entered.set)
        async with running(source, sink):
            await asyncio.wait_for(entered.wait(), 90)
        assert wires.bus.closed == 1

    asyncio.run(main())


def test_the_doctor_knows_chips_and_places(wires: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check tells a right chip, another chip, another address, nobody, and a bus that is not there."""

    def look(chip: str, **more: Any) -> tuple[str, str]:
        (finding,) = asyncio.run(i2c.probe(config(chip, **more), context()))
        assert finding.state == "ok" or finding.do
        return finding.state, f"{finding.what} {finding.do}"

    for chip in MODELS:
        model = wires.connect(chip)
        model.measuring = True
        assert look(chip)[0] == "ok"
        assert model.measuring
    level, what = look("bme280", address=0x77)
    assert (level, "0x76 does" in what) == ("problem", True)
    wires.bus.chips[0x76] = Bme280Model(lambda: wires.truth, chip_id=0x61)
    level, what = look("bme280")
    assert (level, "BME680" in what) == ("problem", True)
    wires.bus.chips.clear()
    level, what = look("sps30")
    assert (level, "does not answer" in what) == ("problem", True)
    wires.absent = True
    level, what = look("sps30")
    assert (level, "raspi-config" in what) == ("problem", True)


def test_errors_of_the_wire_are_errors_of_the_system(wires: Wires) -> None:
    """Nobody at an address, and a wrong checksum, are OSErrors: one way to fail for all chips."""
    with LinuxBus("/dev/i2c-1") as bus:
        with pytest.raises(OSError, match="I/O"):
            bus.read(0x10, 1)
        chip: ChipModel = wires.connect("sps30")
        assert chip
        wires.bus.spoilt[0x69] = 1
        with pytest.raises(ChecksumError):
            driver(config("sps30"), lambda _: None).identify(bus)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"chip": "bme680"}, "bme280"),
        ({"chip": "ads1115"}, "at least one"),
        ({"chip": "bme280", "inputs": [LOOP]}, "belong to an ads1115"),
        ({"chip": "bme280", "altitude_m": 100}, "belong to an scd41"),
        ({"chip": "ads1115", "inputs": [LOOP, LOOP]}, "same key"),
        ({"chip": "ads1115", "inputs": [{**LOOP, "shunt_ohm": None}]}, "needs all of"),
        ({"chip": "ads1115", "inputs": [{**LOOP, "shunt_ohm": 250}]}, "could not be told"),
        ({"chip": "ads1115", "inputs": [{**LOOP, "key": "pressure"}]}, "no key"),
        ({"chip": "ads1115", "inputs": [{**LOOP, "range_v": 3.3}]}, "must be one of"),
    ],
)
def test_a_wrong_configuration_is_explained(fields: dict[str, Any], says: str) -> None:
    """What cannot work is refused when the configuration is read, with the reason."""
    with pytest.raises(ValidationError, match=says):
        Config.model_validate({"kind": "i2c", "name": "s", **fields})
