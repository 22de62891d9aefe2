"""Chips on I2C: what they measure arrives in the catalogue's units, whatever happens on the wires."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from qytet_edge.inbox import i2c
from qytet_edge.inbox.i2c import bme280, sensirion
from qytet_edge.inbox.i2c import bus as buses
from qytet_edge.inbox.i2c.bus import ChecksumError, LinuxBus
from qytet_edge.inbox.i2c.config import Config, driver
from qytet_edge.inbox.i2c.source import ChipSource
from qytet_edge.inbox.kinds import Context
from qytet_simulators.instruments.i2c import ChipModel, I2cBus
from qytet_simulators.instruments.i2c_chips import Ads1115Model, Bme280Model, Scd41Model, Sps30Model
from tests.edge.recording_sink import RecordingSink, ended, running

AIR = {"air_temperature": 25.08, "relative_humidity": 47.3, "air_pressure": 923.46}
TRUTH = {
    **AIR,
    "co2": 612.0,
    "pm1": 3.5,
    "pm2_5": 7.25,
    "pm4": 8.0,
    "pm10": 9.5,
    "particle_number_concentration_pm0_5": 31.5,
    "volts0": 1.8,
    "volts1": 0.3,
    "volts2": 3.3,
    "volts3": 0.75,
}
MODELS: dict[str, tuple[int, Callable[[Callable[[], Mapping[str, float]]], Any]]] = {
    "bme280": (0x76, Bme280Model),
    "scd41": (0x62, Scd41Model),
    "sps30": (0x69, Sps30Model),
    "ads1115": (0x48, Ads1115Model),
}
LOOP = {"input": 0, "key": "water_pressure", "shunt_ohm": 150, "low": 0, "high": 10}
EXPECTED = {
    "bme280": AIR,
    "scd41": {key: TRUTH[key] for key in ("co2", "air_temperature", "relative_humidity")},
    "sps30": {
        key: TRUTH[key] for key in ("pm1", "pm2_5", "pm4", "pm10", "particle_number_concentration_pm0_5")
    },
    "ads1115": {"water_pressure": 5.0},
}


def config(chip: str, **more: Any) -> Config:
    usual: dict[str, Any] = {"report_s": 0.05, "sample_s": 0.005, "settle_s": 0}
    if chip == "ads1115":
        usual["inputs"] = [LOOP]
    return Config.model_validate({"kind": "i2c", "name": "s", "chip": chip, **usual, **more})


def context() -> Context:
    return Context(city="korce", gateway="gw-1", folder=Path(), data_dir=Path())


class Wires:
    """A simulated bus in the place of the kernel's, and sources whose pauses take no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bus = I2cBus({})
        self.truth: dict[str, float] = dict(TRUTH)
        self.opened = 0
        self.absent = False
        monkeypatch.setattr(buses, "open_smbus", self._open)

    def connect(self, chip: str) -> Any:
        address, model = MODELS[chip]
        self.bus.chips[address] = made = model(lambda: self.truth)
        return made

    def source(self, chip: str, **more: Any) -> ChipSource:
        source = i2c.create(config(chip, **more), context())
        source._chip._pause = lambda _seconds: None  # type: ignore[attr-defined]
        return source

    def _open(self, path: str) -> I2cBus:
        assert path == "/dev/i2c-1"
        if self.absent:
            raise FileNotFoundError(2, "No such file or directory", path)
        self.opened += 1
        return self.bus


@pytest.fixture
def wires(monkeypatch: pytest.MonkeyPatch) -> Wires:
    return Wires(monkeypatch)


def test_the_checksum_is_sensirions() -> None:
    """The CRC-8 has the value that the data sheets print, and tells every single wrong bit."""
    assert sensirion.crc8(b"\xbe\xef") == 0x92
    right = sensirion.crc8(b"\x12\x34")
    for bit in range(16):
        assert sensirion.crc8((0x1234 ^ 1 << bit).to_bytes(2, "big")) != right


def test_compensates_as_bosch_prints() -> None:
    """The data sheet's example gives 25.08 Cel and 100653.27 Pa; humidity agrees with its integer formula."""
    trim = bme280.Trim(Bme280Model.T, Bme280Model.P, Bme280Model.H)
    temperature, pressure, _ = bme280.compensated(trim, 519888, 415148, 0x7000)
    assert temperature == pytest.approx(25.08, abs=0.005)
    assert pressure == pytest.approx(1006.5327, abs=1e-4)
    model = Bme280Model(dict)
    for raw_t in range(300_000, 700_000, 40_000):
        for raw in range(0, 65536, 4000):
            found = bme280.compensated(trim, raw_t, 415148, raw)[2]
            assert found == pytest.approx(model.percent(model._fine(raw_t), raw) / 1024, abs=0.02)


def test_reads_trim_with_signs() -> None:
    """Coefficients that share a byte, and negative ones, are put together as the data sheet's table says."""
    model = Bme280Model(dict)
    for h4, h5, h6 in ((333, 50, 30), (-5, -2048, -1), (2047, -1, 127), (-2048, 2047, -128)):
        model.H = (75, -361, 255, h4, h5, h6)  # type: ignore[misc]
        model.power_cycle()
        low, high = bytes(model._registers[0x88:0xA2]), bytes(model._registers[0xE1:0xE8])
        assert bme280.Trim.parse(low, high) == (Bme280Model.T, Bme280Model.P, model.H)


@pytest.mark.parametrize("chip", MODELS)
def test_measures_what_there_is(wires: Wires, chip: str) -> None:
    """Each chip's values arrive as they are in the street, under the device, at the rate of the reports."""

    async def main() -> None:
        wires.connect(chip)
        sink = RecordingSink()
        source = wires.source(chip)
        async with running(source, sink):
            await sink.until(lambda: len(sink.readings) >= 2)
        for reading in sink.readings:
            assert reading.device == "gw-1"
            assert set(reading.values) == set(source.streams["gw-1"])
            for key, value in EXPECTED[chip].items():
                assert reading.values[key] == pytest.approx(value, rel=2e-3, abs=0.01)
        assert not sink.troubles
        assert wires.bus.closed == 1

    asyncio.run(main())


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


@pytest.mark.parametrize("chip", ["ads1115", "bme280"])
def test_a_power_cut_within_a_measurement_makes_no_value(wires: Wires, chip: str) -> None:
    """A chip that is reset between being asked and being read has nothing to say, and that is noticed."""
    model = wires.connect(chip)
    cut = False
    with LinuxBus("/dev/i2c-1") as bus:
        made = driver(config(chip), lambda _seconds: model.power_cycle() if cut else None)
        made.start(bus)
        assert made.sample(bus).values
        cut = True
        with pytest.raises(OSError, match="lost its settings"):
            made.sample(bus)


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


@pytest.mark.parametrize(
    ("milliamps", "bar", "says"),
    [
        (4.0, 0.0, ""),
        (20.0, 10.0, ""),
        (3.85, -0.09375, ""),
        (20.4, 10.25, ""),
        (3.5, None, "open"),
        (0.0, None, "open"),
        (3.7, None, "beyond"),
        (20.8, None, "beyond"),
        (21.5, None, "shorted"),
        (26.0, None, "shorted"),
    ],
)
def test_a_current_loop_tells_faults_from_values(
    wires: Wires, milliamps: float, bar: float | None, says: str
) -> None:
    """By NAMUR NE 43 a broken or shorted loop is null and trouble, never a pressure."""

    async def main() -> None:
        wires.connect("ads1115")
        wires.truth["volts0"] = milliamps / 1000 * 150
        sink = RecordingSink()
        async with running(wires.source("ads1115"), sink):
            await sink.until(lambda: len(sink.readings) >= 1)
        (value,) = sink.values("water_pressure")[:1]
        assert value == (pytest.approx(bar, abs=0.01) if bar is not None else None)
        assert all(says in what for what in sink.troubles)
        assert bool(sink.troubles) == bool(says)

    asyncio.run(main())


def test_four_inputs_do_not_mix(wires: Wires) -> None:
    """Each input is converted by itself, loops and voltages, each with a range of its own."""
    inputs = [
        LOOP,
        {"input": 1, "key": "electrode_voltage_we:no2", "scale": 1000, "range_v": 0.512},
        {"input": 2, "key": "electrode_voltage_we:o3", "scale": 1000},
        {"input": 3, "key": "battery_voltage", "scale": 17.2, "offset": 0.1, "range_v": 1.024},
    ]

    async def main() -> None:
        wires.connect("ads1115")
        sink = RecordingSink()
        async with running(wires.source("ads1115", inputs=inputs), sink):
            await sink.until(lambda: len(sink.readings) >= 1)
        values = sink.readings[0].values
        assert values["water_pressure"] == pytest.approx(5.0, abs=0.01)
        assert values["electrode_voltage_we:no2"] == pytest.approx(300, abs=0.1)
        assert values["electrode_voltage_we:o3"] == pytest.approx(3300, abs=0.1)
        assert values["battery_voltage"] == pytest.approx(13.0, abs=0.01)

    asyncio.run(main())


def test_a_voltage_beyond_its_range_is_no_value(wires: Wires) -> None:
    """A converter at its end stop gives null and trouble."""

    async def main() -> None:
        wires.connect("ads1115")
        wires.truth["volts2"] = 3.3
        sink = RecordingSink()
        inputs = [{"input": 2, "key": "electrode_voltage_we", "range_v": 2.048}]
        async with running(wires.source("ads1115", inputs=inputs), sink):
            await sink.until(lambda: len(sink.readings) >= 1)
        assert sink.values("electrode_voltage_we")[0] is None
        assert "beyond 2.048 V" in sink.troubles[0]

    asyncio.run(main())


def test_the_fan_is_blown_out_weekly_over_restarts(wires: Wires) -> None:
    """The time since the last cleaning is kept with the readings, so that weekly power cuts do not put it off."""

    async def main() -> None:
        model = wires.connect("sps30")
        sink = RecordingSink()
        week = {"clean_days": 1e-7}  # 8.64 ms of measuring: two samples
        async with running(wires.source("sps30", **week), sink):
            await sink.until(lambda: len(sink.readings) >= 1 or model.cleaned > 0)
        assert model.cleaned >= 1
        kept = RecordingSink({"s": json.dumps({"measured_s": 604_799.999}).encode()})
        cleaned = model.cleaned
        async with running(wires.source("sps30"), kept):
            await kept.until(lambda: model.cleaned > cleaned or len(kept.readings) >= 2)
        assert model.cleaned == cleaned + 1

    asyncio.run(main())


def test_settings_reach_the_chip_while_it_is_idle(wires: Wires) -> None:
    """Height and self-calibration are set before measuring begins, even if it measured in an earlier life."""

    async def main() -> None:
        model = wires.connect("scd41")
        model.measuring = True
        sink = RecordingSink()
        async with running(wires.source("scd41", altitude_m=850, self_calibration=False), sink):
            await sink.until(lambda: len(sink.readings) >= 1)
        assert (model.altitude, model.self_calibration) == (850, 0)
        assert not model.measuring
        assert not sink.troubles

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
            await asyncio.wait_for(entered.wait(), 20)
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
