"""What is counted by edges, in the VM: debouncing, totals over resets and power cuts, rain, wind, motion, doors."""

from pathlib import Path
from typing import Any

import pytest

from tests.firmware.device import run
from tests.firmware.driving import EDGES, VM, drive, rounded
from tests.servers.micropython import MicroPython


def _say(vm: MicroPython, code: str) -> Any:
    (found,) = run(vm, f"{EDGES}{code}", path=[VM])
    return found


@pytest.mark.parametrize("bounces", [0, 1, 9])
def test_a_bouncing_reed_is_counted_once(micropython: MicroPython, bounces: int) -> None:
    """A pulse is one however often its contact bounces at both ends, over a wrap of the ticks."""
    code = "edges = Edges(pin, 0, 50, clock)\nedges.listen()\n"
    code += f"for _ in range(40):\n    press(pin, clock, bounces={bounces})\n"
    assert _say(micropython, f"{code}print(edges.look())") == 40


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("for _ in range(5):\n    press(pin, clock, 10, 500)", 5),
        (
            "pin.set(0); clock.wait(10); pin.set(1); clock.wait(7 * 86400000); edges.look(); press(pin, clock)",
            2,
        ),
        (
            "pin.late = True\nfor _ in range(3):\n    press(pin, clock, 20, 100)\n    pin.serve()\n    clock.wait(60)",
            3,
        ),
        ("pin.handler = None; pin.set(0); clock.wait(100)", 1),
        ("pin.set(0); clock.wait(20); pin.set(1); clock.wait(20); pin.set(0); clock.wait(200)", 1),
        ("", 0),
    ],
    ids=[
        "shorter than the lock",
        "a week apart",
        "served late",
        "interrupt lost",
        "bounce at its end",
        "none",
    ],
)
def test_edges_settle_at_what_the_pin_says(micropython: MicroPython, code: str, count: int) -> None:
    """Short, late, lost and long past edges leave the count and the state that the pin really had."""
    setup = f"edges = Edges(pin, 0, 50, clock)\nedges.listen()\n{code}\n"
    found = _say(micropython, f"{setup}print(json.dumps([edges.look(), edges.state, pin.value() == 0]))")
    assert found[0] == count
    assert found[1] == found[2]


RACING = """
class Racing(Edges):
    # An edge comes in the middle of something: where the state is looked at for the `skip`-th time.
    skip = -1
    def _get(self):
        found = self._state
        self.skip -= 1
        if self.skip == 0:
            clock.wait(1)
            pin.set(1)
        return found
    def _set(self, state):
        self._state = state
    state = property(_get, _set)
"""


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_who_leaves_while_it_is_asked_counts_once(micropython: MicroPython, nth: int) -> None:
    """The time that a lane was occupied is the same whenever the interrupt comes: nothing twice, nothing lost."""
    code = f"""{RACING}
edges = Racing(pin, 0, 5, clock)
edges.listen()
pin.set(0)
clock.wait(3000)
edges.skip = {nth}
first = edges.held_ms()
edges.skip = -1
clock.wait(500)
pin.set(1)
clock.wait(500)
print(json.dumps([first, edges.held_ms()]))
"""
    first, then = _say(micropython, code)
    assert first in (3000, 3001)
    assert first + then in (3001, 3500), "it left at once, or half a second later"


def test_a_bounce_that_comes_while_one_looks_is_none(micropython: MicroPython) -> None:
    """An edge after the clock was read and before the rest is looked at locks out its bounces like any other."""
    code = """
edges = Edges(pin, 0, 50, clock)
edges.listen()
clock.wait(1000)
def pressed_late(true=clock.ticks_ms):
    now, edges._now = true(), true
    clock.wait(1)
    pin.set(0)
    return now
edges._now = pressed_late
edges.look()
for level in (1, 0):
    clock.wait(1)
    pin.set(level)
clock.wait(1000)
print(edges.look())
"""
    assert _say(micropython, code) == 1


def test_the_interrupt_handler_allocates_nothing(micropython: MicroPython) -> None:
    """Edges are counted while the heap is locked, as a handler at a bad moment must."""
    code = """
import micropython
edges = Edges(pin, 0, 1, clock)
edges.listen()
handler, fixed = pin.handler, clock.ticks_ms()
edges._now, edges._diff = (lambda: fixed), (lambda one, other: 5)
def locked():
    micropython.heap_lock()
    for _ in range(20):
        pin.level = 1 - pin.level
        handler(pin)
    micropython.heap_unlock()
locked()
print(edges.count)
"""
    assert _say(micropython, code) == 10


METER = """
def meter(path="{path}", **options):
    store = Total(path, clock=clock, **options)
    return store, Pulse(Edges(pin, 0, 50, clock), 100, total="water_volume_total", rate="water_flow_rate",
                        store=store, clock=clock)
async def pulses(count):
    for _ in range(count):
        press(pin, clock)
"""


def _metered(vm: MicroPython, folder: Path, setup: str, *steps: str) -> list[Any]:
    return drive(vm, EDGES + METER.format(path=folder / "total") + setup, *steps)


def test_a_total_survives_a_reset(micropython: MicroPython, tmp_path: Path) -> None:
    """A planned stop loses nothing; after it the count goes on; flow is units an hour since the last reading."""
    steps = ["one.start()", "pulses(5)", "one.read()", "pulses(145)", "one.read()", "one.stop()"]
    found = _metered(micropython, tmp_path, "store, one = meter(every=100, start=1234)", *steps)
    assert found[2] == {"water_volume_total": 12.34, "water_flow_rate": 120.0}
    assert found[4]["water_volume_total"] == 13.84
    again = _metered(micropython, tmp_path, "store, one = meter(every=100)", "one.start()", "one.read()")
    assert again[1] == {"water_volume_total": 13.84, "water_flow_rate": None}


def test_a_total_never_goes_backwards_over_a_power_cut(micropython: MicroPython, tmp_path: Path) -> None:
    """Only what is on flash is ever told, so that whatever a cut takes, no later total is lower."""
    last = 0.0
    for boot in range(6):
        steps = ["one.start()", *["pulses(37)", "one.read()"] * (boot + 1)]
        found = _metered(
            micropython, tmp_path, "store, one = meter(every=100)", *steps
        )  # ends without a stop
        totals = [one["water_volume_total"] for one in found if one]
        assert totals == sorted(totals)
        assert totals[0] >= last
        last = totals[-1]
    assert 7.77 - 6 * 0.99 <= last <= 7.77  # a cut takes less than `every`
    assert last > 5


def test_a_total_is_saved_after_its_time_too(micropython: MicroPython, tmp_path: Path) -> None:
    """Few pulses are saved after `every_ms`, none are saved never, and a week of silence changes nothing."""
    setup = """
store, one = meter(every=100, every_ms=60000)
async def wait(ms):
    clock.wait(ms)
async def wrote():
    try:
        os.stat(store._path)
        return True
    except OSError:
        return False
"""
    steps = ["one.start()", "wait(400000000)", "one.read()", "wait(400000000)", "one.read()", "wrote()"]
    steps += ["pulses(3)", "one.read()", "wait(60000)", "one.read()", "wrote()"]
    found = _metered(micropython, tmp_path, setup, *steps)
    assert found[5] is False
    assert found[7]["water_volume_total"] == 0
    assert found[9]["water_volume_total"] == 0.03
    assert found[10] is True


def test_a_save_that_is_cut_leaves_a_total(micropython: MicroPython, tmp_path: Path) -> None:
    """A torn new file is not believed, a whole one is, and broken files alone are an error and not a 0."""
    from binascii import crc32

    def text(count: int) -> bytes:
        number = str(count).encode()
        return b"%s %08x" % (number, crc32(number))

    steps = ["one.start()", "one.read()"]
    total, new = tmp_path / "total", tmp_path / "total.new"
    for old, torn, said in (
        (text(500), text(600)[:7], 5),
        (text(500), text(600), 6),
        (text(500), b"", 5),
        (None, text(600), 6),
        (None, b"", 12.34),  # the very first save was cut off
        (None, text(600)[:7], 12.34),
    ):
        total.unlink(missing_ok=True)
        if old:
            total.write_bytes(old)
        new.write_bytes(torn)
        found = _metered(micropython, tmp_path, "store, one = meter(start=1234)", *steps)
        assert found[1]["water_volume_total"] == said
    for broken in (b"", b"500 00000000", text(500)[:-1], b"\xff" * 12):
        new.write_bytes(broken)
        total.write_bytes(broken)
        assert _metered(micropython, tmp_path, "store, one = meter()", "one.start()") == [
            ["error", "checksum"]
        ]


def test_a_full_flash_gives_no_total_but_loses_no_pulse(micropython: MicroPython, tmp_path: Path) -> None:
    """While it cannot be saved the total is None; when it can again, every pulse is in it."""
    setup = """
store, one = meter(every=10)
def full(*_):
    raise OSError(28)
true = store._save
async def fill():
    store._save = full
async def free():
    store._save = true
"""
    steps = [
        "one.start()",
        "fill()",
        "pulses(12)",
        "one.read()",
        "pulses(2)",
        "one.read()",
        "free()",
        "one.read()",
    ]
    found = _metered(micropython, tmp_path, setup, *steps)
    assert found[3]["water_volume_total"] is None
    assert found[5]["water_volume_total"] is None
    assert found[7]["water_volume_total"] == 0.14


def test_a_large_total_is_told_in_whole_units(micropython: MicroPython, tmp_path: Path) -> None:
    """Where a float of 32 bits would no longer tell one unit from the next, the total is a whole number."""
    setup = "store, one = meter(every=1, start=100 * 12345678 + 99)"
    found = _metered(micropython, tmp_path, setup, "one.start()", "one.read()", "pulses(1)", "one.read()")
    assert [found[1]["water_volume_total"], found[3]["water_volume_total"]] == [12345678, 12345679]


def test_rain_and_wind(micropython: MicroPython) -> None:
    """Tips are mm since the last reading; turns become m/s by the anemometer's own equation, 0 when it stands."""
    setup = f"""{EDGES}
rain = Pulse(Edges(pin, 0, 50, clock), 5, amount="precipitation_amount", clock=clock)
turned = Pin()
wind = Pulse(Edges(turned, 0, 2, clock), rate=("wind_speed", "wind_speed_of_gust"), per_hz=0.5, offset=0.2, clock=clock)
async def tips():
    for _ in range(7):
        press(pin, clock, bounces=3)
async def turns():
    for _ in range(30):
        press(turned, clock, 50, 50, bounces=0)
async def calm():
    clock.wait(3000)
"""
    steps = ["rain.start()", "wind.start()", "tips()", "rain.read()", "rain.read()", "wind.read()"]
    steps += ["turns()", "wind.read()", "calm()", "wind.read()"]
    found = drive(micropython, setup, *steps)
    assert rounded(found[3]) == {"precipitation_amount": 1.4}
    assert found[4] == {"precipitation_amount": 0}
    assert rounded(found[7]) == {"wind_speed": 5.2, "wind_speed_of_gust": 5.2}
    assert found[9] == {"wind_speed": 0, "wind_speed_of_gust": 0}


def test_a_counter_of_the_chip_serves_too(micropython: MicroPython) -> None:
    """A hardware counter has the same face, over its own wrap."""
    code = """
class Counter:
    n = -5
    def value(self):
        Counter.n += 10
        return Counter.n
edges = Hardware(Counter())
before = edges.look()
print(edges.since(before))
"""
    assert _say(micropython, code) == 10


def test_motion_and_contacts(micropython: MicroPython) -> None:
    """Motions are counted since the last reading; a latched door tells what happened in between; a flag is set."""
    setup = f"""{EDGES}
from qytet_node.drivers.pir import Pir
from qytet_node.drivers.contact import Contact
class Flag:
    times = 0
    def set(self):
        Flag.times += 1
pir = Pir(Edges(Pin(0), 1, 50, clock, Flag()))
door = Contact(Edges(pin, 0, 50, clock), "cabinet_door_open", latch=True)
pump = Contact(Edges(pin, 0, 50, clock), "pump_running", channel="p1")
async def move():
    for _ in range(3):
        press(pir._edges._pin, clock, active=1, bounces=2)
async def open_and_close():
    press(pin, clock)
async def hold():
    pin.set(0)
async def flags():
    return Flag.times
"""
    steps = [
        "pir.start()",
        "move()",
        "pir.read()",
        "move()",
        "pir.read()",
        "pir.read()",
        "flags()",
        "door.start()",
        "open_and_close()",
    ]
    steps += ["door.read()", "door.read()", "pump.start()", "hold()", "pump.read()"]
    found = drive(micropython, setup, *steps)
    assert found[2] == {"motion_count": 0}, "what it made up while it settled"
    assert found[4:6] == [{"motion_count": 3}, {"motion_count": 0}]
    assert found[6] == 12
    assert found[9:11] == [{"cabinet_door_open": 1}, {"cabinet_door_open": 0}]
    assert found[13] == {"pump_running:p1": 1}
