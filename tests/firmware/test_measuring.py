"""What becomes of samples in the VM: rules of aggregation, sensors that fail beside others that do not, reports."""

from pathlib import Path
from typing import Any

import pytest

from tests.firmware.device import run
from tests.servers.micropython import MicroPython

VM = Path(__file__).parent / "vm"


def _window(vm: MicroPython, kinds: dict[str, str], samples: list[dict[str, float | None]]) -> Any:
    code = f"""
import json
from qytet_node.aggregate import Window
window = Window({kinds!r})
for sample in {samples!r}:
    window.add(sample)
print(json.dumps(window.take()))
print(json.dumps(window.take()))
"""
    found, after = run(vm, code)
    assert after == {}, "a window begins empty"
    return found


@pytest.mark.parametrize(
    ("rule", "values", "wanted"),
    [
        ("mean", [1, 2, 6], 3),
        ("mean", [1000001, 1000002, 1000003], 1000002),
        ("last", [3, 1, 2], 2),
        ("counter", [10, 12], 12),
        ("sum", [3, 4], 7),
        ("min", [3, 1, 2], 1),
        ("max", [3, 9, 2], 9),
        ("mean", [None, 4], 4),
        ("mean", [None], None),
        ("circular", [350, 10], 0),
        ("circular", [80, 100], 90),
        ("circular", [0, 180], None),
    ],
)
def test_each_rule(
    micropython: MicroPython, rule: str, values: list[float | None], wanted: float | None
) -> None:
    """Means, extremes, sums and directions are what they are called; no value beside values does not count."""
    found = _window(micropython, {"k": rule}, [{"k": value} for value in values])["k"]
    if wanted is None:
        assert found is None
    else:
        assert (found - wanted + 180) % 360 - 180 == pytest.approx(0, abs=1e-3)


def test_speeds_are_weighted_by_vehicles(micropython: MicroPython) -> None:
    """One vehicle at 100 km/h and three at 60 make 70; without a vehicle there is no speed, and the count is 0."""
    kinds = {"n": "sum", "v": "weighted n"}
    assert _window(micropython, kinds, [{"n": 1, "v": 100}, {"n": 0, "v": None}, {"n": 3, "v": 60}]) == {
        "n": 4,
        "v": 70,
    }
    assert _window(micropython, kinds, [{"n": 0, "v": None}]) == {"n": 0, "v": None}
    assert _window(micropython, kinds, [{"other": 5}]) == {}


_SAMPLING = """
import asyncio, json, time
from qytet_node import sampling
from qytet_node.clock import Clock
from qytet_node.drivers.errors import SensorError
from qytet_node.sampling import Sampler, Sensor
sampling.READ_MS = sampling.START_MS = 50000  # nobody but who hangs is to miss a limit
sampling.RETRY_FIRST_S = sampling.RETRY_LAST_S = 0.02
clock = Clock(time.ticks_ms, time.ticks_diff, 0)
class Fake:
    WARM_UP_MS = MIN_INTERVAL_MS = 0
    def __init__(self, *script, start=None):
        self.script, self.begin, self.said = list(script), start, []
    async def start(self):
        self.said.append("start")
        if self.begin:
            raise self.begin
    async def read(self):
        self.said.append("read")
        found = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if found == "hang":
            await asyncio.sleep(10)
        if isinstance(found, Exception):
            raise found
        return found
    async def stop(self):
        self.said.append("stop")
        raise OSError(5)
def sensor(name, driver, keys, **more):
    spec = {"name": name, "every_s": 0.01, "keys": keys}
    spec.update(more)
    return Sensor(spec, driver, clock)
def say(value):
    print(json.dumps(value))
"""


def test_reports_of_nothing_but_nulls_are_no_measurements(micropython: MicroPython) -> None:
    """A report counts as measured by one value of a sensor; neither nulls nor what is told beside them count."""
    body = """
records = []
sampler = Sampler([sensor("s", Fake({}), {"k": "last"})], clock, records.append, 60, lambda: {"level": 1})
async def main():
    said = []
    for values in ({"k": None}, {}, {"k": 0}, {"k": None, "other": 3}):
        sampler.sensors[0].window.add(values)
        sampler._tell()
        said.append(sampler.measured)
    say([said, records])
asyncio.run(main())
"""
    said, records = run(micropython, _SAMPLING + body)[0]
    assert said == [0, 0, 1, 1]
    assert records == [{"k": None, "level": 1}, {"level": 1}, {"k": 0, "level": 1}, {"k": None, "level": 1}]


def test_one_broken_sensor_stops_no_other(micropython: MicroPython) -> None:
    """Absent, silent, hanging, raving: a good one beside them is reported; they are null or left out, and counted."""
    body = """
class Hangs(Fake):
    READ_MS = 40
broken = {
    "absent": Fake({}, start=SensorError("absent")),
    "garbled": Fake(SensorError("checksum")),
    "hangs": Hangs("hang"),
    "raves": Fake(ValueError("a mistake of the driver")),
    "busy": Fake(SensorError("busy")),
}
sensors = [sensor(name, driver, {name: "mean"}) for name, driver in broken.items()]
sensors.append(sensor("good", Fake({"good": 7, "unasked": 1}), {"good": "mean"}))
records = []
sampler = Sampler(sensors, clock, records.append, 1)
async def main():
    task = asyncio.create_task(sampler.run())
    until = time.ticks_ms() + 50000
    while not (WHOLE in records and len(broken["garbled"].said) >= 8) and time.ticks_ms() < until:
        await asyncio.sleep_ms(10)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    say(WHOLE in records)
    say([m for m in records if any(WHOLE.get(key, 0) != value for key, value in m.items())])
    say({one.name: one.errors > 0 for one in sensors})
    say(broken["garbled"].said[:8])
    say([one.last_error for one in sensors])
asyncio.run(main())
"""
    whole = {"good": 7, "garbled": None, "hangs": None, "raves": None}
    found, wrong, errors, garbled, words = run(micropython, f"WHOLE = {whole!r}\n{_SAMPLING}{body}")
    assert found, "a report has the good value, and null for each that gave none"
    assert wrong == []
    assert errors == {
        "absent": True,
        "garbled": True,
        "hangs": True,
        "raves": True,
        "busy": False,
        "good": False,
    }
    assert garbled == ["start", *["read"] * 5, "stop", "start"], "after five failures it is started anew"
    assert words[0] == "absent"
    assert words[3].startswith("stopping") or "a mistake of the driver" in words[3]


def test_a_change_is_told_at_once(micropython: MicroPython) -> None:
    """A key of `at_once` makes a record of its own when it changes, and only then; its channel is the profile's."""
    body = """
driver = Fake({"door": 0, "t": 5}, {"door": 0, "t": 6}, {"door": 1, "t": 7}, {"door": 1, "t": 8})
one = sensor("door", driver, {"door:a": "max", "t:a": "mean"}, at_once=["door:a"], channel="a")
told = []
async def main():
    task = asyncio.create_task(one.run(told.append))
    while one.readings < 6:
        await asyncio.sleep_ms(5)
    task.cancel()
    say([told, one.window.take()["door:a"]])
asyncio.run(main())
"""
    assert run(micropython, _SAMPLING + body) == [[[{"door:a": 0}, {"door:a": 1}], 1]]


def test_a_duty_cycled_sensor_rests_between_readings(micropython: MicroPython) -> None:
    """It is started, warmed up, read once and stopped: a laser that is not needed does not age."""
    body = """
driver = Fake({"k": 1})
driver.WARM_UP_MS = 20
clock.up = lambda: 0  # a reading takes no time, whatever the machine does meanwhile
one = sensor("laser", driver, {"k": "mean"}, every_s=0.1, duty=True)
async def main():
    task = asyncio.create_task(one.run())
    while one.readings < 3:
        await asyncio.sleep_ms(5)
    task.cancel()
    say(driver.said[:8])
asyncio.run(main())
"""
    assert run(micropython, _SAMPLING + body) == [["start", "read", "stop"] * 2 + ["start", "read"]]


def test_a_great_many_values_make_several_records(micropython: MicroPython) -> None:
    """A record holds 64 values at most, as the contract has it; a report without any value is no record."""
    body = """
values = {"k%03d" % n: n for n in range(130)}
records = []
one = sensor("many", Fake(values), {key: "last" for key in values})
sampler = Sampler([one], clock, records.append, 1)
one.window.add(values)
sampler._tell()
sampler._tell()
say([len(m) for m in records])
"""
    assert run(micropython, _SAMPLING + body) == [[64, 64, 2]]


def test_only_progress_feeds_the_watchdog(micropython: MicroPython) -> None:
    """A stuck part starves the watchdog and is named; being offline for long restarts in order, once."""
    body = """
from qytet_node.supervisor import Supervisor
class Dog:
    fed = 0
    def feed(self):
        self.fed += 1
class Time:
    now = 0
    def up(self):
        return self.now
class Part:
    progress_at, online = 0, True
dog, time_, parts, restarts = Dog(), Time(), {"sampler": Part(), "uplink": Part()}, []
watched = [(name, part, 1000) for name, part in parts.items()]
one = Supervisor(dog, time_, watched, parts["uplink"], restarts.append, 60)
def look(now, **progress):
    time_.now = now
    for name, at in progress.items():
        parts[name].progress_at = at
    one.look()
    return [dog.fed, one.stuck]
say(look(500))
say(look(1500, sampler=1500))
say(look(1600, uplink=1600))
parts["uplink"].online = False
look(30000, sampler=30000, uplink=30000)
say(len(restarts))
look(70000, sampler=70000, uplink=70000)
say(restarts)
"""
    assert run(micropython, _SAMPLING + body) == [
        [1, ""],
        [1, "uplink"],
        [2, ""],
        0,
        ["no connection for 60 s"],
    ]


def test_a_line_is_said_once_and_not_in_floods(micropython: MicroPython) -> None:
    """The same line comes once in ten minutes, and of many lines at once ten; what was left out is told."""
    body = """
from qytet_node.log import Log
class Time:
    now = 0
    def up(self):
        return self.now
time_, lines = Time(), []
log = Log(time_, lambda *line: lines.append(line), lambda text: None)
for _ in range(5):
    log.warning("again")
for n in range(20):
    log.info("line %d" % n)
say(len(lines))
say(lines[1][2])
time_.now = 61000
log.error("later")
say(lines[-1][2])
"""
    assert run(micropython, _SAMPLING + body) == [
        10,
        "line 0 (4 lines left out)",
        "later (11 lines left out)",
    ]
