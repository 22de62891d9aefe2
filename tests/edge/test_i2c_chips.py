"""Each chip on I2C: what it measures arrives in the catalogue's units, as its data sheet says."""

import asyncio
import contextlib
import json

import pytest

from qytet_edge.inbox.i2c import bme280, sensirion
from qytet_edge.inbox.i2c.bus import LinuxBus
from qytet_edge.inbox.i2c.config import driver
from qytet_simulators.instruments.i2c_chips import Bme280Model
from tests.edge.i2c_support import EXPECTED, LOOP, MODELS, Wires, config
from tests.edge.recording_sink import RecordingSink, running


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


@pytest.mark.parametrize("chip", MODELS)
def test_a_power_cut_between_any_two_transfers_makes_no_value(wires: Wires, chip: str) -> None:
    """Wherever in a measurement the supply fails, the sample is right, empty, or trouble."""
    model = wires.connect(chip)
    with LinuxBus("/dev/i2c-1") as bus:
        made = driver(config(chip), lambda _seconds: None)
        for cut_at in range(1, 9):
            made.start(bus)
            left = cut_at

            def transfer() -> None:
                nonlocal left
                left -= 1
                if not left:
                    model.power_cycle()

            wires.bus.on_transfer = transfer
            with contextlib.suppress(OSError):
                for key, value in made.sample(bus).values.items():
                    if key in EXPECTED[chip]:
                        assert value == pytest.approx(EXPECTED[chip][key], rel=2e-3), f"transfer {cut_at}"
            wires.bus.on_transfer = lambda: None


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
            await sink.until(lambda: model.cleaned >= 1)
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
