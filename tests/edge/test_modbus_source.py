"""What the Modbus source does with what it reads: inputs with currents, running totals, and what it refuses."""

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import pytest

from qytet.doctor.finding import worst
from qytet.errors import SettingsError
from qytet_contract.records import check_values
from qytet_edge.inbox import kinds, modbus
from qytet_simulators.instruments.modbus_rtu import RtuLine
from qytet_simulators.instruments.modbus_unit import Fault, ModbusUnit, put_float, put_whole
from tests.edge.modbus_support import FAST, PATIENT, context, meter, play, rtu, source, unit
from tests.edge.recording_sink import RecordingSink, running

STREET = """
kind = "modbus-rtu"
name = "street"
port = "port"
baud = 115200
timeout_s = 0.15
[[unit]]
address = 1
map = "eastron-sdm120"
device = "feed"
every_s = 0.05
[[unit]]
address = 2
map = "pzem-004t"
device = "lamp"
every_s = 0.05
rename = { grid_active_power = "lamp_active_power", grid_phase_voltage = "lamp_supply_voltage" }
only = ["grid_active_power", "grid_phase_voltage"]
[[unit]]
address = 3
map = "magflux"
device = "main"
every_s = 0.05
[[unit]]
address = 4
map = "waveshare-analog-8ch"
device = "main"
every_s = 0.05
[unit.inputs.ai1]
property = "water_pressure"
low = 0
high = 1
unit = "MPa"
[unit.inputs.ai8]
property = "water_tank_level"
channel = "north"
low = 0
high = 5
[[unit]]
address = 5
map = "renke-fsxcs"
every_s = 0.05
"""


def _street_units() -> list[ModbusUnit]:
    feed: dict[int, Any] = dict.fromkeys(range(80), 0)
    put_float(feed, {0: 229.5, 6: 4.5, 12: 1000, 18: 1100, 24: -250, 30: 0.91, 70: 50.02, 72: 8123.75})
    lamp: dict[int, Any] = dict.fromkeys(range(10), 0)
    lamp[0] = 2312
    put_whole(lamp, 3, 1204, 2, low_first=True)
    main: dict[int, Any] = dict.fromkeys(range(600, 612), 0)
    put_float(main, {600: 0.0125}, low_first=True)
    put_whole(main, 604, 123_456_789_000_000, 4, low_first=True)
    analog: dict[int, Any] = dict.fromkeys(range(8), 0)
    analog[0], analog[7] = 12000, 2500  # 12 mA, and a broken wire
    station: dict[int, Any] = dict.fromkeys(range(500, 516), 0)
    station.update({500: 45, 503: 270, 504: 655, 505: 65486, 509: 1013, 511: 5000, 513: 100})
    return [
        ModbusUnit(1, {4: feed}),
        ModbusUnit(2, {4: lamp}),
        ModbusUnit(3, {3: main}),
        ModbusUnit(4, {4: analog}),
        ModbusUnit(5, {3: station}),
    ]


STREET_TRUTH: dict[int, dict[str, float | None]] = {
    1: {
        "grid_phase_voltage": 229.5,
        "grid_current": 4.5,
        "grid_active_power": 1.0,
        "grid_apparent_power": 1.1,
        "grid_reactive_power": -0.25,
        "grid_power_factor": 0.91,
        "grid_frequency": 50.02,
        "grid_energy_import_total": 8123.75,
    },
    2: {"lamp_supply_voltage": 231.2, "lamp_active_power": 120.4},
    3: {"water_flow_rate": 45.0, "water_volume_total": 123456.789},
    4: {"water_pressure": 5.0, "water_tank_level:north": None},
    5: {
        "wind_speed": 4.5,
        "wind_from_direction": 270,
        "relative_humidity": 65.5,
        "air_temperature": -5.0,
        "air_pressure": 1013,
        "ambient_illuminance": 5000,
    },
}


def _street(folder: Path) -> modbus.RtuConfig:
    return modbus.RtuConfig.model_validate({**tomllib.loads(STREET), "port": str(folder / "port")})


def test_a_street_of_shipped_maps_reads_as_the_instruments_were_set(tmp_path: Path) -> None:
    """Five makers' instruments on one line arrive exactly as their registers were filled, by their shipped maps."""

    async def work() -> None:
        sink = RecordingSink()
        made = source(_street(tmp_path), tmp_path)
        async with RtuLine(tmp_path / "port", _street_units()), running(made, sink):
            await sink.until(lambda: len(sink.readings) >= 10)
        seen = [dict(reading.values) for reading in sink.readings]
        for number, truth in STREET_TRUTH.items():
            first = next(values for values in seen if values.keys() == truth.keys())
            assert first == truth, number
        for reading in sink.readings:
            check_values(dict(reading.values))
        assert any("2.50 mA: the loop is open" in what for what in sink.troubles)
        assert made.streams["main"] == [
            "water_flow_rate", "water_volume_total", "water_pressure", "water_tank_level:north",
        ]  # fmt: skip
        assert "precipitation_amount" in made.streams["gw-1"]

    play(work())


def test_a_running_total_becomes_increments_that_outlive_a_restart(tmp_path: Path) -> None:
    """Rain is what fell since the last reading: nothing twice, nothing lost while the gateway was down."""
    station: dict[int, Any] = dict.fromkeys(range(500, 516), 0)
    table = {"address": 5, "map": "renke-fsxcs", "every_s": 0.05, "only": ["precipitation_amount"]}
    config = modbus.RtuConfig.model_validate(
        {
            "kind": "modbus-rtu",
            "name": "rain",
            "port": str(tmp_path / "port"),
            "baud": 115200,
            "unit": [table],
            **FAST,
        }
    )
    sink = RecordingSink()

    def fallen() -> float:
        return round(sum(value or 0 for value in sink.values("precipitation_amount")), 6)

    async def work() -> None:
        async with RtuLine(tmp_path / "port", [ModbusUnit(5, {3: station})]):
            station[513] = 100  # 10 mm fell before we came: not ours to report
            async with running(source(config, tmp_path), sink):
                await sink.until(lambda: bool(sink.checkpoints))
                station[513] = 125
                await sink.until(lambda: fallen() == 2.5)
            station[513] = 130  # while the gateway was down
            async with running(source(config, tmp_path), sink):
                await sink.until(lambda: fallen() == 3.0)
                station[513] = 4  # the station began anew
                await sink.until(lambda: fallen() == 3.4)

    play(work())


def test_the_configuration_finds_this_plugin() -> None:
    """Both kinds of Modbus are known to the configuration, each with a model of its own."""
    assert kinds.model(kinds.SOURCES, "modbus-rtu") is modbus.RtuConfig
    assert kinds.model(kinds.SOURCES, "modbus-tcp") is modbus.TcpConfig


def test_who_comes_while_the_last_one_leaves_has_a_line(tmp_path: Path) -> None:
    """A line that its last user is just closing is opened anew for the next: neither takes the other's away."""

    async def work() -> None:
        bus = source(rtu(tmp_path, [unit(1)], **PATIENT), tmp_path).bus
        async with RtuLine(tmp_path / "port", [meter(1)]):
            first = bus.use()
            await first.__aenter__()
            await bus.opened(5)
            leaving = asyncio.create_task(first.__aexit__(None, None, None))
            await asyncio.sleep(0)
            assert not leaving.done()
            async with bus.use():
                await leaving
                await bus.opened(5)
                assert await bus.read(1, 4, 0, 2, 3.0)

    play(work())


def test_two_units_of_one_device_need_two_channels(tmp_path: Path) -> None:
    """The same key from two units of a device is refused when the gateway starts, not mixed up at night."""
    with pytest.raises(SettingsError, match="Two units make grid_phase_voltage"):
        source(rtu(tmp_path, [unit(1, device="x"), unit(2, device="x")]), tmp_path)
    made = source(
        rtu(tmp_path, [unit(1, device="x", channel="a"), unit(2, device="x", channel="b")]), tmp_path
    )
    assert made.streams["x"] == [
        "grid_phase_voltage:a", "grid_active_power:a", "grid_phase_voltage:b", "grid_active_power:b",
    ]  # fmt: skip


def test_one_line_cannot_be_set_in_two_ways(tmp_path: Path) -> None:
    """Two sources of one port with different baud rates are refused with both settings named."""
    shared = context(tmp_path)
    modbus.create(rtu(tmp_path, [unit(1)]), shared)
    with pytest.raises(SettingsError, match="set in two ways"):
        modbus.create(rtu(tmp_path, [unit(2)], name="other", baud=9600), shared)


def test_a_serial_address_beyond_247_is_refused(tmp_path: Path) -> None:
    """Addresses that cannot be on a serial line are refused."""
    with pytest.raises(SettingsError, match="1 to 247"):
        source(rtu(tmp_path, [unit(248)]), tmp_path)


def test_the_doctor_tells_each_unit_apart(tmp_path: Path) -> None:
    """A check of the line shows a value of the unit that answers and says what to do about those that do not."""

    async def work() -> None:
        silent, garbled, refusing, well = meter(1), meter(2), meter(3), meter(4)
        silent.fault, garbled.fault = Fault(silent=True), Fault(bad_checksum=True)
        refusing.fault = Fault(exception=2)
        config = rtu(tmp_path, [unit(1), unit(2), unit(3), unit(4)])
        async with RtuLine(tmp_path / "port", [silent, garbled, refusing, well]):
            found = await modbus.probe(config, context(tmp_path))
        assert [finding.state for finding in found] == ["ok", "problem", "problem", "problem", "ok"]
        assert "A and B" in found[1].do
        assert "baud rate and parity" in found[2].do
        assert "register map" in found[3].do
        assert "grid_phase_voltage = 231.4" in found[4].what

    play(work())


def test_the_doctor_says_why_a_port_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing port, and one that another program holds, are told apart."""
    monkeypatch.setattr("qytet_edge.inbox.modbus.check._OPEN_S", 0.3)

    async def work() -> None:
        config = rtu(tmp_path, [unit(1)])
        missing = await modbus.probe(config, context(tmp_path))
        async with RtuLine(tmp_path / "port", [meter(1)]):
            running_gateway = modbus.create(config, context(tmp_path))
            async with running_gateway.bus.use():
                await running_gateway.bus.opened(5)
                busy = await modbus.probe(config, context(tmp_path))
        assert worst(missing) == worst(busy) == "problem"
        assert "there is no port" in missing[0].what
        assert "in use by another program" in busy[0].what

    play(work())
