"""main.py starts a slot that can run, whatever it finds, and ends at no prompt unless somebody asks for one."""

import json
from typing import Any

import pytest

from tests.firmware.device import DEVICE
from tests.firmware.updating import Workshop
from tests.servers.micropython import MicroPython

A, B = ["0.1.0", "a", "node.json"], ["0.2.0", "b", "node.json"]
TRIED = {"/etc/node.trial.json": "{}"}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Versions of every kind."""
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    for version, kind in (("0.2.0", "good"), ("0.3.0", "import"), ("0.4.0", "crash"), ("0.5.0", "end")):
        made.version(version, kind)
    made.version("0.6.0", "exit")
    return made


def _starts(vm: MicroPython, workshop: Workshop, *boards: dict[str, Any]) -> list[dict[str, Any]]:
    return workshop.boards(vm, boards, script="slots_starts.py")


def _state(run: str, trial: str | None = None, left: int = 0) -> str:
    return json.dumps({"run": run, "trial": trial, "left": left, "id": "u1", "why": ""})


def test_the_slot_that_proved_itself_runs(micropython: MicroPython, workshop: Workshop) -> None:
    """As /slot.json says; without one, or with one that is torn or nonsense, slot a."""
    texts = [_state("a"), _state("b"), '{"run": "a"}']
    damaged = [
        '{"run":"b","tri',
        "",
        "[]",
        "null",
        '{"run":5}',
        '{"run":"c"}',
        "\x00" * 60,
        '{"trial":"b","left":3}',
    ]
    odd = [
        '{"run":"b","trial":["x"],"left":"3"}',
        '{"run":"b","trial":"b","left":3}',
        '{"run":"b","trial":7}',
    ]
    found = _starts(
        micropython,
        workshop,
        *({"b": "0.2.0", "state": text} for text in [*texts, *damaged, *odd, None]),
    )
    assert [board["ended"] for board in found] == ["reset"] * len(found), (
        "when the program ends, the chip begins anew"
    )
    assert [board["lives"] for board in found] == [[A], [B], [A], *[[A]] * 8, *[[B]] * 3, [A]]


def test_a_trial_is_counted_before_it_starts(micropython: MicroPython, workshop: Workshop) -> None:
    """Each start of a trial takes one away on the flash; with none left, or no way to count, what was before runs."""
    spent, tried, uncounted, odd, settings, kept, lost = _starts(
        micropython,
        workshop,
        {"b": "0.4.0", "state": _state("a", "b", 0)},
        {"b": "0.4.0", "state": _state("a", "b", 3)},
        {"b": "0.4.0", "state": _state("a", "b", 3), "folders": ["/slot.json.new"]},
        {"b": "0.4.0", "state": '{"run":"a","trial":"b","left":"many"}'},
        {"state": _state("a", "etc", 2), "files": TRIED},
        {"state": _state("a", "etc", 2)},
        {"state": _state("a", "etc", 0), "files": TRIED},
    )
    assert (spent["lives"], spent["state"]["trial"]) == ([A], None)
    assert spent["state"]["why"] == "no reading of it was stored, and its starts are used up"
    assert tried["lives"] == [["0.4.0", "b", "node.json"]]
    assert (tried["state"]["left"], tried["state"]["why"]) == (2, "it crashed: TypeError broken")
    assert (uncounted["lives"], uncounted["state"]["left"]) == ([A], 3), (
        "nothing new is tried on such a flash"
    )
    assert odd["lives"] == [A]
    assert settings["lives"] == [["0.1.0", "a", "node.trial.json"]]
    assert kept["lives"] == [A], "they had been kept: there is nothing to try"
    assert (lost["lives"], lost["state"]["trial"]) == ([A], None)


def test_a_damaged_slot_gives_way_to_the_other(micropython: MicroPython, workshop: Workshop) -> None:
    """If what proved itself cannot be imported the other slot runs; if neither can, the chip begins anew and tries."""
    entry = "qytet_node/app.mpy"
    found = _starts(
        micropython,
        workshop,
        {"b": "0.2.0", "state": _state("b"), "remove": [f"/b/{entry}"]},
        {"b": "0.2.0", "state": _state("b"), "files": {f"/b/{entry}": "no program"}},
        {"b": "0.2.0", "state": _state("a"), "remove": ["/a/qytet_node/__init__.mpy", f"/a/{entry}"]},
        {"b": "0.2.0", "state": None, "remove": [f"/a/{entry}"]},
        {"state": _state("a"), "remove": [f"/a/{entry}"]},
        {"b": "0.3.0", "state": _state("a", "b", 3), "remove": [f"/a/{entry}"]},
    )
    assert [board["lives"] for board in found] == [[A], [A], [B], [B], [], []]
    assert {board["ended"] for board in found} == {"reset"}
    assert found[5]["state"]["why"] == "it cannot be imported: ValueError broken at import"


def test_nothing_but_the_slot_is_imported(micropython: MicroPython, workshop: Workshop) -> None:
    """A program that somebody left in the root, or in /lib, does not shadow the slot's."""
    stray = 'VERSION = "stray"\n'
    (found,) = _starts(
        micropython,
        workshop,
        {
            "b": "0.2.0",
            "state": _state("b"),
            "folders": ["/qytet_node", "/lib", "/lib/qytet_node"],
            "files": {"/qytet_node/__init__.py": stray, "/lib/qytet_node/__init__.py": stray},
        },
    )
    assert found["lives"] == [B]


def test_every_end_is_a_reset_but_for_ctrl_c(micropython: MicroPython, workshop: Workshop) -> None:
    """A crash, SystemExit or a plain end restart the chip; Ctrl-C gives the prompt, and ten minutes to work at it."""
    crash, leave, end, typed, paused, no_dog = _starts(
        micropython,
        workshop,
        {"a": "0.4.0"},
        {"a": "0.6.0"},
        {"a": "0.5.0"},
        {"types_at": "run"},
        {"a": "0.4.0", "types_at": "pause"},
        {"types_at": "no dog"},
    )
    assert [board["ended"] for board in (crash, leave, end)] == ["reset"] * 3
    assert crash["state"] == json.loads('{"run":"a","trial":null,"left":0}'), (
        "only a trial's crash is written down"
    )
    for board in (typed, paused):
        assert (board["ended"], board["watchdogs"]) == ("prompt", [120000, 600000])
    assert no_dog["lives"] == [A], "without a watchdog it starts all the same"


def test_boot_py_does_nothing() -> None:
    """An error in boot.py would keep main.py from running, so there is nothing in it that could fail."""
    import ast

    assert [type(row) for row in ast.parse((DEVICE / "boot.py").read_text()).body] == [ast.Expr]
