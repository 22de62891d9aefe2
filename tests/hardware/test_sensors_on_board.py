"""Drivers of the node against simulated sensors that fail and come back, on the simulated board's real buses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.profiles import Surroundings, surroundings
from qytet_simulators.instruments.uart import Faults
from tests.hardware.bench import filesystem
from tests.hardware.conftest import MakeBoard
from tests.hardware.node import SOURCE_HEAP_KB, put, sources

BOARD = {
    "v": 1,
    "pins": {"wire": 4, "in1": 27},
    "i2c": {"i2c0": {"scl": 22, "sda": 21}},
    "uart": {"uart1": {"tx": 33, "rx": 32}, "uart2": {"tx": 17, "rx": 16}},
}
BEGIN = """
import asyncio, json, machine, onewire, time
from qytet_node.drivers.errors import SensorError
from qytet_node.drivers.serial import SerialPort

def port(number, baud, tx, rx):
    return SerialPort(machine.UART(number, baudrate=baud, tx=tx, rx=rx, rxbuf=512))

i2c = machine.I2C(0, scl=machine.Pin(22), sda=machine.Pin(21), freq=400000)
wire = onewire.OneWire(machine.Pin(4))

async def watch(name, driver, every_ms):
    started = False
    while True:
        try:
            if not started:
                await driver.start()
                started = True
                await asyncio.sleep_ms(driver.WARM_UP_MS)
            found = await driver.read()
        except SensorError as error:
            found = error.code
        print(json.dumps([name, found]))
        await asyncio.sleep_ms(every_ms)

async def main(*tasks):
    await asyncio.gather(*[watch(*one) for one in tasks])
"""


def _rows(**drivers: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "driver": name, "bus": bus, "every_s": 1, "keys": {}, "options": options}
        for name, (bus, options) in drivers.items()
    ]


def _made(
    make_board: MakeBoard,
    flash: FlashFile,
    rows: list[dict[str, Any]],
    main: str,
) -> tuple[Board, Surroundings]:
    around = surroundings({"sensors": rows}, BOARD, 5)
    with filesystem(flash, fresh=True) as files:
        put(files, sources())
        with files.open("/main.py", "w") as file:
            file.write(BEGIN + main)
    start_ms = 1_788_256_800_000
    board = make_board(None, around.wiring, start_unix_ms=start_ms, heap_kb=SOURCE_HEAP_KB, stepped=True)
    board.power_on()
    return board, around


class _Said:
    """What the program printed since the last time, by sensor."""

    def __init__(self, board: Board) -> None:
        self._board, self._seen = board, 0

    def __call__(self, seconds: float) -> dict[str, list[Any]]:
        self._board.run_for(seconds)
        said: dict[str, list[Any]] = {}
        for name, found in self._lines():
            said.setdefault(name, []).append(found)
        return said

    def _lines(self) -> Iterator[tuple[str, Any]]:
        *lines, last = self._board.console.text.splitlines(keepends=True)
        whole = [*lines, last] if last.endswith("\n") else lines
        for line in whole[self._seen :]:
            if line.startswith("["):
                yield tuple(json.loads(line))
        self._seen = len(whole)


def _near(found: Any, around: Surroundings, **slack: float) -> bool:
    """Whether a reading is the truth of now."""
    return isinstance(found, dict) and all(
        abs(found[key] - around.world.value(key)) <= most for key, most in slack.items()
    )


def test_sensors_fail_and_come_back(make_board: MakeBoard, flash: FlashFile) -> None:
    """Each fault of a wire, a bus or the truth is the error that it should be; afterwards readings are true again."""
    rows = _rows(
        sds011=("uart1", {}),
        tf_luna=("uart2", {"distance": "waste_fill_distance"}),
        bme280=("i2c0", {}),
        ds18b20=("wire:wire", {}),
    )
    main = """
from qytet_node.drivers.bme280 import BME280
from qytet_node.drivers.distance import Distance
from qytet_node.drivers.ds18b20 import DS18B20
from qytet_node.drivers.sds011 import SDS011
from qytet_node.drivers.tf_luna import TFLuna
asyncio.run(main(
    ("sds011", SDS011(port(1, 9600, 33, 32)), 1000),
    ("tf_luna", Distance(TFLuna(port(2, 115200, 17, 16)), distance="waste_fill_distance"), 1000),
    ("bme280", BME280(i2c), 1000),
    ("ds18b20", DS18B20(wire), 1000),
))
"""
    board, around = _made(make_board, flash, rows, main)
    around.world.script("waste_fill_distance", lambda _: 1.34)
    say, sensors, bus = _Said(board), around.sensors, around.wiring.i2c[22, 21]

    def well(said: dict[str, list[Any]]) -> None:
        assert _near(said["sds011"][-1], around, pm2_5=0.06, pm10=0.06)
        assert said["tf_luna"][-1] == {"waste_fill_distance": 1.34}
        assert _near(
            said["bme280"][-1], around, air_temperature=0.02, relative_humidity=0.06, air_pressure=0.1
        )
        assert _near(said["ds18b20"][-1], around, water_temperature=0.04)

    said = say(33)
    well(said)
    assert not [found for name in said for found in said[name] if isinstance(found, str)]
    sensors["sds011"].faults = Faults(bad_checksum=1)
    sensors["tf_luna"].faults = Faults(truncated=1)
    chip = bus.chips.pop(0x76)
    sensors["ds18b20"].spoilt = 1000
    said = say(8)
    assert said["sds011"][-1] == said["ds18b20"][-1] == "checksum"
    assert said["tf_luna"][-1] in ("short", "checksum")
    assert said["bme280"][-1] == "absent"
    sensors["sds011"].silent = True
    sensors["tf_luna"].faults = Faults()
    around.world.script("waste_fill_distance", lambda _: 9.0)
    bus.chips[0x76], bus.held_down = chip, True
    around.wiring.onewire[4].clear()
    said = say(8)
    assert {name: found[-1] for name, found in said.items()} == {
        "sds011": "timeout",
        "tf_luna": "range",
        "bme280": "absent",
        "ds18b20": "absent",
    }
    sensors["sds011"].silent, sensors["sds011"].faults = False, Faults(garbage=0.5)
    around.world.script("waste_fill_distance", lambda _: 1.34)
    bus.held_down, sensors["ds18b20"].spoilt = False, 0
    around.wiring.onewire[4].append(sensors["ds18b20"])
    well(say(12))


def test_dust_settles_and_a_window_survives_a_stall(make_board: MakeBoard, flash: FlashFile) -> None:
    """A PMS5003 is true from its warm-up on; a vibration window that lost samples is begun anew, within READ_MS."""
    rows = _rows(pms5003=("uart1", {}), adxl355=("i2c0", {}))
    main = """
from qytet_node.drivers.adxl355 import ADXL355
from qytet_node.drivers.pms5003 import PMS5003
vibration = ADXL355(i2c)

async def stall():
    await asyncio.sleep_ms(15000)  # its window has nearly ended
    time.sleep_ms(250)  # a flash that erases
    print(json.dumps(["stalled", time.ticks_ms()]))

async def limited():
    await vibration.start()
    await asyncio.sleep_ms(vibration.WARM_UP_MS)
    found = await asyncio.wait_for_ms(vibration.read(), vibration.READ_MS)
    print(json.dumps(["vibration", found]))

async def all():
    await asyncio.gather(stall(), limited(), watch("pms5003", PMS5003(port(1, 9600, 33, 32)), 1000))

asyncio.run(all())
"""
    board, around = _made(make_board, flash, rows, main)
    said = _Said(board)(50)
    assert said["stalled"]
    assert _near(said["pms5003"][0], around, pm1=0.6, pm2_5=0.6, pm10=0.6), "the first one told"
    (found,) = said["vibration"]
    for axis in "xyz":
        for name in ("peak_particle_velocity", "acceleration_peak", "ppv_dominant_frequency"):
            key = f"{name}:{axis}"
            assert found[key] == pytest.approx(around.world.value(key), rel=0.02)


def test_the_chips_counter_counts_what_the_meter_does(make_board: MakeBoard, flash: FlashFile) -> None:
    """`machine.Counter` counts edges without an interrupt, either edge, up or down, from any number."""
    rows = _rows(pulse=("pin:in1", {"pulses_per_unit": 1000, "rate": "water_flow_rate", "debounce_ms": 0}))
    main = """
from qytet_node.drivers.edges import Hardware
pin = machine.Pin(27, machine.Pin.IN, machine.Pin.PULL_UP)
falling = machine.Counter(0, pin, edge=machine.Counter.FALLING)
rising = machine.Counter(1, pin, direction=machine.Counter.DOWN)
edges = Hardware(falling)
edges.listen()
time.sleep(300)
counted = edges.look()
print(json.dumps(["counted", [counted, rising.value(100), rising.value(), edges.since(counted - 5)]]))
falling.deinit()
"""
    board, around = _made(make_board, flash, rows, main)
    said = _Said(board)(310)
    (found,) = said["counted"]
    pulses = sum(1 for at in around.sensors["pulse"].at_ms if at <= 1_788_256_800_000 + 300_300)
    assert pulses > 100
    assert found[0] == pytest.approx(pulses, abs=1)
    assert -found[1] == pytest.approx(pulses, abs=1)
    assert found[2:] == [100, 5]
