"""With the board on the cable, acceptance hears what it says, and claims no more than it has heard."""

import functools
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from qytet_bench.acceptance import watch
from qytet_bench.acceptance.facts import program_version
from qytet_bench.acceptance.watch import Watch
from qytet_bench.console import Redactor
from qytet_simulators.hardware.board import Board
from tests.bench_tool.acceptance.city import City
from tests.bench_tool.acceptance.records import Accept, check, failing, of
from tests.bench_tool.desk import Desk
from tests.bench_tool.nodeboard import BadLine, board
from tests.bench_tool.test_monitor import said_of

pytestmark = pytest.mark.servers


TALKS = """
import time
while True:
    print("1 info here")
    time.sleep(30)
"""


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment is long enough to listen; that the port was opened lies a moment back, however busy the machine is."""
    monkeypatch.setattr(watch, "_LEAST_S", 0.0)
    monkeypatch.setattr(watch, "_OPENING_S", 600.0)


@pytest.mark.usefixtures("soon")
def test_the_cable_tells_why(
    accept: Accept, city: City, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the board on the cable a failed check quotes what the console says about it."""
    talks = """
import time
print("1 info qytet 0.1.0, boot 9f3a01c2, 0 kept")
while True:
    print("2 warning no line: no network: wrong password")
    time.sleep(60)
"""
    city.node(of(desk, "cable-1"), firmware=program_version(), heard_s=3600.0, age_s=3600.0)
    with board(tmp_path, {"main.py": talks}, speed=300) as (made, _):
        made.console.wait_for("wrong password")
        heard_first(monkeypatch, "wrong password")
        done, record = accept("cable-1", "--port", made.console.path)
    assert done.exit_code == 1
    assert "wrong password" in check(record, "heard")["do"]
    assert check(record, "console")["state"] == "passed"
    assert "wrong password" in check(record, "console")["seen"]


def test_what_goes_wrong_on_the_cable_fails(accept: Accept, city: City, desk: Desk, tmp_path: Path) -> None:
    """A node that is well in the database and whose program fails is not accepted, as it is listened to long enough."""
    city.node(of(desk, "cable-2"), firmware=program_version())
    crashes = (
        "import time\nwhile True:\n    print('3 error sampler failed: ValueError x')\n    time.sleep(60)\n"
    )
    with board(tmp_path, {"main.py": crashes}, speed=300) as (made, _):
        made.console.wait_for("sampler failed")
        _, record = accept("cable-2", "--port", made.console.path, "--within", "30")
    assert failing(record) == ["console"]
    assert "sampler failed" in check(record, "console")["seen"]


@pytest.mark.usefixtures("soon")
def test_a_restart_by_opening_the_port_is_no_fault(tmp_path: Path) -> None:
    """The first seconds' switching-on is the port's; a crash at any time is the node's."""
    for said, state in (
        ("rst:0x1 (POWERON_RESET),boot:0x13", "passed"),
        ("rst:0x8 (TG1WDT_SYS_RESET)", "failed"),
    ):
        with board(tmp_path, {"main.py": TALKS}, speed=300) as (made, _):
            made.console.wait_for("1 info here")
            with Watch(made.console.path, Redactor()) as ears:
                say(made, said)
                until(lambda: said in str(ears._heard()))  # noqa: B023 it is called at once
            assert ears.check().state == state


def test_who_has_not_listened_has_heard_nothing_wrong_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The console passes after some seconds only, and the record says how long, and that nothing was said."""
    monkeypatch.setattr(watch, "_OPENING_S", 600.0)
    monkeypatch.setattr(watch, "_LEAST_S", 3600.0)
    with (
        board(tmp_path, {"main.py": "import time\ntime.sleep(86400)"}) as (made, _),
        Watch(made.console.path, Redactor()) as ears,
    ):
        early = ears.check()
        assert (early.state, early.settled) == ("failed", False)
        assert "listened to for" in early.seen
        monkeypatch.setattr(watch, "_LEAST_S", 0.0)
        assert ears.check().state == "passed"
        assert re.fullmatch(r"nothing (was said|wrong) in \d+ s", ears.check().seen)


def test_a_clock_that_is_set_makes_no_restart_out_of_opening_the_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The machine's clock may jump when it learns the time: what was heard at once stays the port's."""
    ears = Watch("", Redactor())
    (power,) = said_of(b"rst:0x1 (POWERON_RESET),boot:0x13\r\n")
    ears._take(replace(power, at=power.at + timedelta(days=400)))
    assert not ears._wrong
    monkeypatch.setattr(watch, "_OPENING_S", 0.0)
    ears._take(power)
    assert len(ears._wrong) == 1


@pytest.mark.usefixtures("soon")
def test_an_error_is_not_forgotten_in_many_lines(tmp_path: Path) -> None:
    """What went wrong counts to the end, however much the node says afterwards."""
    with board(tmp_path, {"main.py": TALKS}, speed=300) as (made, _):
        made.console.wait_for("1 info here")
        with Watch(made.console.path, Redactor()) as ears:
            hear(made, ears, "2 error sampler failed: ValueError x")
            for number in range(3 * watch._KEPT // 50):
                hear(made, ears, *(f"3 info line {number}-{part}." for part in range(50)))
            assert "sampler failed" not in str(ears._heard())
            assert "sampler failed" in ears.check().seen


@pytest.mark.usefixtures("soon")
def test_a_pulled_cable_is_no_silence(tmp_path: Path) -> None:
    """While the cable is out the console does not pass; when it is back, it does."""
    with (
        board(tmp_path, {"main.py": TALKS}, speed=300) as (made, _),
        BadLine(made.console.path, tmp_path / "port") as bad,
        Watch(bad.path, Redactor()) as ears,
    ):
        bad.vanish()
        until(lambda: ears.check().state == "failed")
        assert "has gone" in ears.check().seen
        bad.come_back()
        until(lambda: ears.check().state == "passed")


def heard_first(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Acceptance looks at nothing before the console has said this."""
    real = watch.Watch.__enter__

    def enter(ears: Watch) -> Watch:
        real(ears)
        until(lambda: text in str(ears._heard()))
        return ears

    monkeypatch.setattr(watch.Watch, "__enter__", enter)


def hear(made: Board, ears: Watch, *lines: str) -> None:
    """The board says them, few enough for a port to hold, and the last is heard."""
    for line in lines:
        say(made, line)
    until(lambda: lines[-1].partition(" ")[2].partition(" ")[2] in str(ears._heard()))


def say(made: Board, line: str) -> None:
    """The board says it, whatever its program does: also if that is in the middle of a line."""
    made.call(functools.partial(made.console.say, b"\r\n" + line.encode() + b"\r\n"))


def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread has to notice."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
