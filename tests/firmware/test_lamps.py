"""Lamps and relays, in the VM: by schedule, by light and by motion, without a network."""

import datetime as dt
import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.firmware.device import run
from tests.servers.micropython import MicroPython

VM = Path(__file__).parent / "vm"
TIRANA = ZoneInfo("Europe/Tirane")

# ---- schedules

_SCHEDULE = """
import json
from qytet_node.schedule import Schedule
given = json.loads(GIVEN)
plan = Schedule(given["schedule"])
print(json.dumps([plan.at(when)[1] for when in given["at"]]))
"""
_SUN = [[1, 371, 928], [80, 289, 1018], [172, 193, 1103], [266, 269, 997], [355, 366, 918]]
"""Roughly Tirana's: day of the year, sunrise and sunset in minutes of the day, UTC."""


def _zone(year: int) -> list[list[int]]:
    """Offsets of Tirana's local time with the instants at which they begin."""
    rows, before = [], None
    for hour in range(365 * 24):
        at = dt.datetime(year, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=hour)
        offset = at.astimezone(TIRANA).utcoffset()
        assert offset is not None
        if offset != before:
            rows.append([0 if before is None else int(at.timestamp()), int(offset.total_seconds() // 60)])
            before = offset
    return rows


def _levels(vm: MicroPython, schedule: dict[str, Any], at: list[dt.datetime]) -> list[float]:
    given = {"schedule": schedule, "at": [int(one.timestamp()) for one in at]}
    (levels,) = run(vm, f"GIVEN = {json.dumps(given)!r}\n{_SCHEDULE}")
    assert isinstance(levels, list)
    return levels


@pytest.mark.parametrize("day", [(1, 1), (3, 28), (3, 29), (6, 21), (10, 24), (10, 25), (12, 31)])
def test_steps_follow_local_time_through_the_year(micropython: MicroPython, day: tuple[int, int]) -> None:
    """A step at 22:00 begins when clocks in the city say so, on every day of the year, also where they change."""
    steps = [["22:00", 0, 70], ["00:00", 0, 50], ["05:30", 0, 100], ["07:00", 15, 0]]
    schedule = {"zone": _zone(2026), "steps": steps}
    start = dt.datetime(2026, *day, tzinfo=TIRANA)
    times = [(0, 0), (3, 30), (5, 29), (5, 30), (7, 14), (7, 15), (21, 59), (22, 0), (23, 59)]
    at = [start.replace(hour=hour, minute=minute) for hour, minute in times]
    assert _levels(micropython, schedule, at) == [50, 50, 50, 100, 100, 0, 0, 70, 70]


@pytest.mark.parametrize("day", [1, 30, 80, 126, 172, 266, 355, 365])
def test_steps_follow_the_sun(micropython: MicroPython, day: int) -> None:
    """Ten minutes before sunset it is on, ten after sunrise off, between the table's days in a straight line."""
    schedule = {"sun": _SUN, "steps": [["sunset", -10, 100], ["sunrise", 10, 0]]}
    midnight = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day - 1)
    rows = [[_SUN[-1][0] - 365, *_SUN[-1][1:]], *_SUN, [_SUN[0][0] + 365, *_SUN[0][1:]]]
    before, after = next((a, b) for a, b in pairwise(rows) if a[0] <= day < b[0])
    share = (day - before[0]) / (after[0] - before[0])
    rise, fall = (before[n] + (after[n] - before[n]) * share for n in (1, 2))
    edges = [rise + 10 - 2, rise + 10 + 2, fall - 10 - 2, fall - 10 + 2]
    at = [midnight + dt.timedelta(minutes=minutes) for minutes in edges]
    assert _levels(micropython, schedule, at) == [100, 0, 0, 100]


def test_the_day_of_the_year_is_right_for_a_century(micropython: MicroPython) -> None:
    """By whole numbers, as ports count seconds from different years: every fifth day from 2001 to 2099."""
    days = range(11_323, 47_481, 5)
    code = f"""
import json
from qytet_node.schedule import _day_of_year
print(json.dumps([_day_of_year(day * 86400 + 5) for day in range({days.start}, {days.stop}, 5)]))
"""
    (said,) = run(micropython, code, heap="4M")
    epoch = dt.date(1970, 1, 1)
    assert said == [(epoch + dt.timedelta(days=day)).timetuple().tm_yday for day in days]


_OUTPUTS = """
import asyncio, json, os, sys
from board import Hardware
from qytet_node.outputs import OutputError, Outputs
path = sys.argv[1] + "/outputs.json"
class Clock:
    t, ms = None, 0
    def now(self):
        return self.t, "none" if self.t is None else "ntp"
    def up(self):
        return self.ms
clock, told, light = Clock(), [], [None]
rows = [
    {"name": "lamp", "kind": "analog", "pin": "a", "key": "lamp_dimming_level"},
    {"name": "relay", "kind": "relay", "pin": "b", "invert": True},
]
hardware = Hardware({"pins": {"a": 1, "b": 2}})
def made():
    return Outputs(rows, hardware, clock, path, lambda: light[0], told.append)
def lamp():
    return round(hardware.pins["a"].duty * 100 / 65535)
def say(value):
    print(json.dumps(value))
def refused(act, *args):
    try:
        act(*args)
    except OutputError as error:
        return str(error)
EVENING = {"steps": [["18:00", 0, 40], ["23:00", 0, 20], ["06:00", 0, 0]], "motion": {"level": 100, "hold_s": 60},
           "unknown": 80, "dark_lux": 35}
def at(hour, minute=0):
    clock.t = (1789000000 // 86400 * 86400 + hour * 3600 + minute * 60) * 1000
"""


def _outputs(vm: MicroPython, folder: Path, body: str) -> list[Any]:
    return run(vm, _OUTPUTS + body, str(folder), path=[VM])


def test_a_lamp_follows_its_schedule_without_a_network(micropython: MicroPython, tmp_path: Path) -> None:
    """After a restart too, as the schedule is on flash; an order in between holds until the next step."""
    said = _outputs(
        micropython,
        tmp_path,
        """
at(12)
made().follow("lamp", EVENING)
one = made()
for hour in (19, 23, 7):
    at(hour)
    one.look()
    say(lamp())
at(19)
one.look()
one.set("lamp", 60)
say(lamp())
at(22, 59)
one.look()
say(lamp())
at(23)
one.look()
say(lamp())
say(one.values())
""",
    )
    assert said == [40, 20, 0, 60, 60, 20, {"lamp_dimming_level": 20}]


def test_without_a_time_the_light_decides(micropython: MicroPython, tmp_path: Path) -> None:
    """Nobody knows the time: a lamp is on at its level, except where it is measured to be bright."""
    said = _outputs(
        micropython,
        tmp_path,
        """
one = made()
one.follow("lamp", EVENING)
say(lamp())
light[0] = 5000
one.look()
say(lamp())
light[0] = 3
one.look()
say(lamp())
""",
    )
    assert said == [80, 0, 80]


def test_motion_raises_a_lamp_that_is_on(micropython: MicroPython, tmp_path: Path) -> None:
    """Something moves: full light until it has been quiet for a minute; by day a lamp stays off."""
    said = _outputs(
        micropython,
        tmp_path,
        """
class Sensor:
    moving = False
flag, sensor = asyncio.ThreadSafeFlag(), Sensor()
one = made()
async def main():
    at(23)
    one.follow("lamp", EVENING)
    task = asyncio.create_task(one.run([(flag, sensor)]))
    await asyncio.sleep_ms(5)
    say(lamp())
    flag.set()
    for _ in range(100):
        await asyncio.sleep_ms(5)
        if lamp() == 100:
            break
    say(lamp())
    clock.ms = 59000
    one.look()
    say(lamp())
    clock.ms = 61000
    one.look()
    say(lamp())
    at(12)
    flag.set()
    await asyncio.sleep_ms(20)
    say(lamp())
    task.cancel()
    say(told[-3:])
asyncio.run(main())
""",
    )
    levels = [{"lamp_dimming_level": level} for level in (100, 20, 0)]
    assert said == [20, 100, 100, 20, 0, levels]


def test_outputs_are_driven_as_their_kind_wants(micropython: MicroPython, tmp_path: Path) -> None:
    """0-10 V is never between 0 and 1 V, an inverted relay is low when on; a level survives a restart."""
    said = _outputs(
        micropython,
        tmp_path,
        """
one = made()
one.look()
say([lamp(), hardware.pins["b"].level])
one.set("lamp", 4)
one.set("relay", 100)
say([lamp(), hardware.pins["b"].level])
two = made()
two.look()
say([lamp(), hardware.pins["b"].level])
""",
    )
    assert said == [[0, 1], [10, 0], [10, 0]]


@pytest.mark.parametrize("kept", ["{", '{"lamp": 5}', '{"lamp": {"level": 5, "schedule": {"steps": []}}}'])
def test_broken_orders_on_flash_stop_nothing(micropython: MicroPython, tmp_path: Path, kept: str) -> None:
    """What cannot be read is said and not followed; new orders are taken."""
    (tmp_path / "outputs.json").write_text(kept)
    body = "one = made()\nsay(one.damaged)\none.set('lamp', 30)\nsay(lamp())\nsay(made().damaged)"
    assert _outputs(micropython, tmp_path, body)[::2] == [True, False]


def test_orders_that_make_no_sense_are_refused(micropython: MicroPython, tmp_path: Path) -> None:
    """Each says what is wrong, and the lamp goes on as before."""
    wrong: list[tuple[Any, str]] = [
        (5, "an object with steps"),
        ({"steps": []}, "an object with steps"),
        ({"steps": [["25:00", 0, 1]]}, "no such time"),
        ({"steps": [["noon", 0, 1]]}, "begins at HH:MM"),
        ({"steps": [["12:00", 0, 101]]}, "from 0 to 100"),
        ({"steps": [["12:00", 1000, 1]]}, "720 at most"),
        ({"steps": [["12:00", 0]]}, "when, minutes and level"),
        ({"steps": [["sunset", 0, 1]]}, "needs the table sun"),
        ({"steps": [["12:00", 0, 1]], "zone": [[5, 0], [5, 60]]}, "not in order"),
        ({"steps": [["12:00", 0, 1]], "sun": [[1, 2]]}, "has 3 whole numbers"),
        ({"steps": [["12:00", 0, 1]], "motion": {"level": 5}}, "level and hold_s"),
        ({"steps": [["12:00", 0, 1]], "moon": 1}, "nobody knows what moon is"),
    ]
    texts = [json.dumps(given) for given, _ in wrong]
    body = f"""
one = made()
one.set("lamp", 50)
for text in {texts!r}:
    say(refused(one.follow, "lamp", json.loads(text)))
say(refused(one.set, "lamp", 101))
say(refused(one.set, "lamp", True))
say(refused(one.set, "fountain", 1))
say(str(lamp()))
"""
    said = _outputs(micropython, tmp_path, body)
    wanted = [words for _, words in wrong] + [
        "from 0 to 100",
        "from 0 to 100",
        "no output is called fountain",
        "50",
    ]
    for message, words in zip(said, wanted, strict=True):
        assert words in message


def test_an_order_that_flash_does_not_keep_is_not_followed(micropython: MicroPython, tmp_path: Path) -> None:
    """What is answered as failed is not done either: the lamp stays as its last order that counts says."""
    body = """
one = made()
one.set("lamp", 50)
os.mkdir(path + ".new")
say(refused(one.set, "lamp", 20))
say(refused(one.follow, "lamp", {"steps": [["00:00", 0, 80]]}))
clock.t = 1789000000000
one.look()
say(lamp())
"""
    level, schedule, lamp = _outputs(micropython, tmp_path, body)
    assert level == schedule
    assert level.startswith("the flash does not keep it: error ")
    assert lamp == 50
