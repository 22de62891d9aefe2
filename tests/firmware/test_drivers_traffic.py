"""Lanes, in the VM: vehicles by a loop and by a radar, none of which is lost with an answer."""

import pytest

from tests.firmware.driving import EDGES, drive, rounded
from tests.servers.micropython import MicroPython

LANE = f"""{EDGES}
from qytet_node.drivers.loop import Loop
lane = Loop(Edges(pin, 0, 5, clock), "lane1", clock)
async def vehicles(count, held, rest):
    for _ in range(count):
        press(pin, clock, held, rest)
async def arrive():
    pin.set(0)
async def leave():
    pin.set(1)
async def wait(ms):
    clock.wait(ms)
"""


@pytest.mark.parametrize(
    ("sensor", "key"),
    [
        ("lane", "lane_occupancy:lane1"),
        ('Pulse(Edges(pin, 0, 5, clock), rate="wind_speed", per_hz=0.667, clock=clock)', "wind_speed"),
    ],
    ids=["loop", "anemometer"],
)
def test_a_moment_is_no_calm(micropython: MicroPython, sensor: str, key: str) -> None:
    """A first reading right after the start has no rate: 0 would pull the mean of its report down."""
    steps = ["sensor.start()", "wait(7)", "sensor.read()", "wait(3000)", "sensor.read()"]
    found = drive(micropython, f"{LANE}\nsensor = {sensor}", *steps)
    assert (found[2][key], found[4][key]) == (None, 0)


def test_a_loop_counts_vehicles_and_the_time_that_they_stand(micropython: MicroPython) -> None:
    """Occupancy is the share of the bin; one that stands over its end counts in both bins, once as a vehicle."""
    steps = [
        "lane.start()",
        "vehicles(20, 300, 2700)",
        "lane.read()",
        "lane.read()",
        "wait(3000)",
        "arrive()",
    ]
    steps += ["wait(1000)", "lane.read()", "wait(500)", "leave()", "wait(500)", "lane.read()", "wait(1000)"]
    found = drive(micropython, LANE, *steps, "lane.read()")
    assert rounded(found[2]) == {"vehicle_count:lane1": 20, "lane_occupancy:lane1": 10.0}
    assert found[3] == {"vehicle_count:lane1": 0, "lane_occupancy:lane1": None}
    assert found[7] == {"vehicle_count:lane1": 1, "lane_occupancy:lane1": 25.0}
    assert found[11] == {"vehicle_count:lane1": 0, "lane_occupancy:lane1": 50.0}
    assert found[13] == {"vehicle_count:lane1": 0, "lane_occupancy:lane1": 0.0}


RADAR = """
from qytet_node.drivers.radar import Radar
from qytet_node.drivers.crc import crc16_modbus
import struct
class Counting:
    # The protocol of qytet_node.drivers.radar, from the radar's side; `faults` is what happens to each answer.
    def __init__(self, faults=()):
        self.waiting, self.now, self.number, self.faults, self._in = None, [0, 0, 0, 0], 41, list(faults), b""
    def any(self):
        return len(self._in)
    def read(self, size):
        data, self._in = self._in[:size], self._in[size:]
        return data
    def vehicles(self, tenths, speeds, occupied):
        self.now = [a + b for a, b in zip(self.now, (tenths, len(speeds), sum(speeds), occupied))]
    def write(self, data):
        if len(data) != 5 or crc16_modbus(data[:3]) != data[3] | data[4] << 8 or data[:2] != b"\\x51\\x02":
            return
        if self.waiting is None or data[2] in (0, self.number):
            self.number, self.waiting, self.now = self.number % 255 + 1, self.now, [0, 0, 0, 0]
        answer = struct.pack("<BBBHHII", 0x52, 2, self.number, *self.waiting)
        answer += struct.pack("<H", crc16_modbus(answer))
        fault = self.faults.pop(0) if self.faults else ""
        self._in += {"": answer, "lost": b"", "torn": answer[:9], "bad": answer[:9] + b"!" + answer[10:]}[fault]
radar = Counting(FAULTS)
sensor = Radar(SerialPort(radar), 2)
async def pass_by(*bin):
    radar.vehicles(*bin)
"""


@pytest.mark.parametrize(
    "faults",
    [[], ["", "lost"], ["", "torn", "bad"], ["", "lost", "lost", "lost", ""], ["lost", "", "bad"]],
    ids=["none", "lost", "broken twice", "silent for a reading", "lost at the start"],
)
def test_a_radar_loses_no_vehicle_with_an_answer(micropython: MicroPython, faults: list[str]) -> None:
    """Whatever answers are lost or broken, the readings sum up to what passed since the start, no more, no less."""
    steps = ["pass_by(50, [500] * 3, 900)", "sensor.start()"]
    for _ in range(4):
        steps += ["pass_by(300, [500, 433], 1500)", "sensor.read()"]
    found = drive(micropython, RADAR.replace("FAULTS", repr(faults)), *steps)
    readings = [one for one in found if isinstance(one, dict)]
    assert sum(one["vehicle_count:lane2"] for one in readings) == 8
    assert {round(one["vehicle_speed_mean:lane2"], 3) for one in readings} == {46.65}
    assert {round(one["lane_occupancy:lane2"], 3) for one in readings} == {5.0}


@pytest.mark.parametrize(
    ("bins", "said"),
    [
        (
            "600, [], 0",
            {"vehicle_count:lane2": 0, "vehicle_speed_mean:lane2": None, "lane_occupancy:lane2": 0.0},
        ),
        (
            "600, [], 60050",
            {"vehicle_count:lane2": 0, "vehicle_speed_mean:lane2": None, "lane_occupancy:lane2": 100.0},
        ),
        ("600, [2501], 300", ["error", "range"]),
        ("600, [0], 300", ["error", "range"]),
        ("600, [], 60200", ["error", "range"]),
        ("0, [500], 10", ["error", "range"]),
    ],
    ids=["nobody", "full", "too fast", "no speed", "more than all", "no time"],
)
def test_a_bin_must_be_possible(micropython: MicroPython, bins: str, said: object) -> None:
    """Without a vehicle there is no speed, and what cannot be is no reading."""
    setup = RADAR.replace("FAULTS", "()")
    assert drive(micropython, setup, "sensor.start()", f"pass_by({bins})", "sensor.read()")[2] == said
