"""The board's time flies while nobody is waited for, goes as on the wall for an answer, and stops when told."""

import math
import socket
import struct
import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from qytet_simulators.hardware import keeper, wall
from qytet_simulators.hardware.clock import VirtualClock
from qytet_simulators.hardware.passage import Passage
from qytet_simulators.hardware.protocol import Op, Question
from qytet_simulators.hardware.vm_process import SHIMS
from qytet_simulators.hardware.wall import Wall
from qytet_simulators.hardware.wires import Pace
from tests.hardware.conftest import MakeBoard

ONLINE = """
import asyncio, network, time
async def online():
    wlan = network.WLAN(network.STA_IF)
    wlan.active(True)
    wlan.connect("qytet-bench", "bench-password")
    while not wlan.isconnected():
        await asyncio.sleep_ms(100)
"""


def test_what_is_due_happens_in_order_and_at_its_time() -> None:
    """Calls happen in the order of their times, those of one instant in the order in which they were made."""
    clock, seen = VirtualClock(1_000), []
    for at, name in ((30, "c"), (10, "a"), (30, "d"), (20, "b")):
        clock.call_at(at, lambda name=name: seen.append((clock.now_us(), name)))  # type: ignore[misc]
    clock.call_at(25, lambda: seen.append((0, "never"))).cancel()
    clock.advance(29)
    assert seen == [(10, "a"), (20, "b")]
    clock.advance(5)
    clock.advance(2_000)
    assert seen[2:] == [(30, "c"), (30, "d")]
    assert (clock.now_us(), clock.unix_ms()) == (2_000, 1_002)


def test_both_ends_of_the_channel_mean_the_same_by_a_number() -> None:
    """The VM's operations are numbered as the bench's are."""
    names = (SHIMS / "_bench.py").read_text().split("(\n", 1)[1].split(")", 1)[0].split(",")
    assert [name.strip() for name in names if name.strip()] == [op.name for op in Op]


def test_six_hours_of_a_sleeping_program_take_seconds_and_are_exact(make_board: MakeBoard) -> None:
    """Tasks wake exactly when they should, for 6 virtual hours, in a small part of that time on the wall."""
    board = make_board("""
import asyncio, time
late = []
async def every(ms, count):
    start = time.ticks_ms()
    for n in range(1, count + 1):
        await asyncio.sleep_ms(max(0, ms - time.ticks_diff(time.ticks_ms(), start) % ms))
        late.append(time.ticks_diff(time.ticks_ms(), start) - n * ms)
        del late[:-200]
        worst[0] = max(worst[0], late[-1])
worst = [0]
begun = time.ticks_ms()
async def main():
    await asyncio.gather(every(10_000, 2160), every(60_000, 360))
asyncio.run(main())
print("took", time.ticks_diff(time.ticks_ms(), begun), "late", worst[0], min(late))
""")
    board.power_on()
    assert "took 21600000 " in board.console.wait_for("late 0 0\r\n", 200), (
        "in minutes, on a busy machine too"
    )


def test_time_counts_from_2000_and_is_unset_at_power_on(make_board: MakeBoard) -> None:
    """`time` is an ESP32's: the year 2000 at power-on, whole seconds, eight parts, and what the RTC was set to."""
    board = make_board("""
import time, machine
print(time.time(), time.gmtime()[0], len(time.gmtime()), type(time.time()) is int)
machine.RTC().datetime((2026, 3, 1, 0, 12, 30, 0, 0))
time.sleep(90)
print(time.gmtime()[:6], time.mktime((2024, 2, 29, 23, 59, 59, 0, 0)) == time.mktime((2024, 3, 1, 0, 0, 0, 0, 0)) - 1)
print(time.time() == time.mktime(time.gmtime()), "end")
""")
    board.power_on()
    said = board.console.wait_for("end\r\n")
    assert "0 2000 8 True\r\n(2026, 3, 1, 12, 31, 30) True\r\nTrue end" in said


def test_time_stands_still_where_it_is_told_to(make_board: MakeBoard) -> None:
    """With `stepped`, exactly so much time goes by as `run_for` is given."""
    board = make_board(
        """
import time
n = 0
while True:
    time.sleep(1)
    n += 1
    print("second", n)
""",
        stepped=True,
    )
    board.power_on()
    board.run_for(10.4)
    assert "second 10\r\n" in board.console.text
    assert "second 11" not in board.console.text
    before = board.now_s()
    board.run_for(5)
    assert "second 15\r\n" in board.console.text
    assert board.now_s() - before == 5


def test_speed_is_kept_to_what_was_asked(make_board: MakeBoard) -> None:
    """With a speed of 50 a virtual second takes no less than 20 ms."""
    board = make_board("import time\ntime.sleep(60)\nprint('end')\n", speed=50)
    began = time.monotonic()
    board.power_on()
    board.console.wait_for("end")
    assert 1.2 <= time.monotonic() - began < 60


def test_an_answer_that_comes_is_waited_for_on_the_wall(make_board: MakeBoard) -> None:
    """A server that takes 0.3 s is in time for a program that waits 50 virtual seconds, which would fly by."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            caller, _ = server.accept()
            with caller:
                for _ in range(2):
                    question = caller.recv(100)
                    time.sleep(0.3)
                    caller.sendall(question)

        thread = threading.Thread(target=serve)
        thread.start()
        board = make_board(
            ONLINE
            + """
async def main():
    await online()
    reader, writer = await asyncio.open_connection("echo.test", 7)
    for n in range(2):
        writer.write(b"question\\n")
        await writer.drain()
        print(await asyncio.wait_for(reader.readline(), 50))
        await asyncio.sleep(3600)
    writer.close()
    print("end")
asyncio.run(main())
""",
            hosts={"echo.test": server.getsockname()},
            pace=Pace(patience_s=60),
        )
        board.power_on()
        said = board.console.wait_for("end\r\n")
        thread.join(60)
    assert said.count("b'question\\n'") == 2
    assert board.now_s() > 7200
    assert 0.5 < board.waited_s < 60, "with the answer the waiting is over"


def test_a_server_that_had_no_turn_yet_is_waited_for_longer(make_board: MakeBoard) -> None:
    """While a question lies unread before the server, a busy machine keeps it from answering, and time waits."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            caller, _ = server.accept()
            with caller:
                threading.Event().wait(1)
                caller.sendall(caller.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        board = make_board(
            ONLINE
            + """
async def main():
    await online()
    reader, writer = await asyncio.open_connection("late.test", 7)
    writer.write(b"question\\n")
    await writer.drain()
    print(await asyncio.wait_for(reader.readline(), 20), "end")
asyncio.run(main())
""",
            hosts={"late.test": server.getsockname()},
            pace=Pace(patience_s=0.2),
        )
        board.power_on()
        board.console.wait_for("b'question\\n' end")
        thread.join(60)


def test_an_answer_that_never_comes_does_not_hold_time_for_long(make_board: MakeBoard) -> None:
    """A program's own limit of 60 s runs out soon after the bench has lost patience."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        board = make_board(
            ONLINE
            + """
async def main():
    await online()
    reader, writer = await asyncio.open_connection("silent.test", 7)
    start = time.ticks_ms()
    try:
        await asyncio.wait_for(reader.read(1), 60)
    except asyncio.TimeoutError:
        print("gave up", time.ticks_diff(time.ticks_ms(), start) // 1000)
asyncio.run(main())
""",
            hosts={"silent.test": silent.getsockname()},
            pace=Pace(patience_s=0.2),
        )
        board.power_on()
        began = time.monotonic()
        board.console.wait_for("gave up 60\r\n")
        assert time.monotonic() - began < 50


def test_a_program_that_only_computes_does_not_stop_the_world(make_board: MakeBoard) -> None:
    """Time goes on, as on the wall, under a program that asks nothing."""
    board = make_board("while True:\n    pass\n")
    passed = threading.Event()
    board.power_on()
    board.at(0.6, passed.set)
    assert passed.wait(60)


class Machine:
    """Its clock, and a passage of time upon it that answers nobody and has a server at work until `busy_until`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, stepped: bool = False) -> None:
        self.now_s = 0.0
        self.busy_until = 0.0
        self.clock = VirtualClock(0)
        for module in (keeper, wall):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now_s))
        self.let_go: list[Question] = []
        self.passing = Passage(
            self.clock,
            Wall(),
            self._answered,
            lambda: self.busy_until,
            hold=lambda: False,
            speed=math.inf,
            stepped=stepped,
        )

    def _answered(self, question: Question) -> None:
        self.passing.heard()
        self.let_go.append(question)

    def asked(self, until_us: int, *, network: bool = False) -> None:
        """The program waits until then."""
        self.passing.heard()
        until = struct.pack("<q", until_us)
        self.passing.wait(Question(Op.WAIT, 0, int(network), 0, 0, self.clock.now_us(), until))


def test_time_stands_only_when_the_program_has_done_what_it_could(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that is about to be answered is no rest, though it waits for the moment in which one looks."""
    machine = Machine(monkeypatch, stepped=True)
    passing, vm = machine.passing, cast("Any", object())
    passing.limit(1_000)
    machine.asked(1_000)
    passing.step(True, vm, boots=False)
    assert machine.clock.now_us() == 1_000
    assert not passing.stands(1_000, 0), "its sleep is over: it has something to do"
    passing.step(True, vm, boots=False)
    assert len(machine.let_go) == 1
    machine.asked(1_000)
    passing.news()
    assert not passing.stands(1_000, 0), "nobody has looked yet what comes of the question"
    passing.step(True, vm, boots=False)
    machine.asked(5_000)
    passing.step(True, vm, boots=False)
    assert passing.stands(1_000, 0)


def test_a_machine_that_stands_still_takes_no_time_from_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held to the wall's, the board's time passes as the bench lives it, and so does the patience with a server."""
    machine = Machine(monkeypatch)
    machine.busy_until = 2.0
    machine.asked(60_000_000, network=True)
    for seconds in (0.05, 5.0, 0.05, 100.0, 0.05):
        wait = machine.passing.step(True, cast("Any", object()), boots=False)
        assert wait is not None
        assert wait <= wall.LOOK_S, "else what it lives through is not counted"
        machine.now_s += seconds
    machine.passing.step(True, cast("Any", object()), boots=False)
    assert 100_000 < machine.clock.now_us() < 1_000_000
    steps = 0
    while not machine.let_go:
        steps += 1
        machine.now_s += 0.05
        machine.passing.step(True, cast("Any", object()), boots=False)
    assert 20 < steps < 40, "two seconds of patience in all"
    assert machine.clock.now_us() == 60_000_000


def test_what_the_bench_itself_computes_costs_the_board_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a busy machine takes to start the VM, the board's time begins to count with the board's files."""
    machine = Machine(monkeypatch)
    passing, clock = machine.passing, machine.clock
    keys = SimpleNamespace(at_prompt=False, booted=False, interrupt=lambda: False)
    vm: Any = SimpleNamespace(keys=keys, worked_s=0.0, sleeps=False)

    def works(seconds: float) -> None:
        for _ in range(int(seconds * 20)):
            machine.now_s, vm.worked_s = machine.now_s + 0.05, vm.worked_s + 0.05
            passing.step(False, vm, boots=False)

    def starves(seconds: float) -> None:
        for _ in range(int(seconds * 20)):
            machine.now_s += 0.05
            passing.step(False, vm, boots=False)

    passing.heard()
    works(2)
    starves(10)
    assert clock.now_us() == 0
    keys.booted = True
    passing.heard()
    starves(10)
    assert clock.now_us() == 0, "it would like to work, and is not let"
    passing.heard()
    works(2)
    assert clock.now_us() > 1_000_000


def test_time_is_held_to_the_walls_while_a_server_works(make_board: MakeBoard) -> None:
    """While `hold` says so, an hour does not go by; when it no longer does, it does at once."""
    working = threading.Event()
    working.set()
    board = make_board(
        "import asyncio\nasyncio.run(asyncio.wait_for(asyncio.Event().wait(), 3600))\n", hold=working.is_set
    )
    board.power_on()
    board.console.wait_for("SPI_FAST_FLASH_BOOT")
    began = board.now_s()
    assert not threading.Event().wait(0.4)
    assert board.now_s() - began < 5
    working.clear()
    board.console.wait_for("TimeoutError")
    assert board.now_s() > 3600
