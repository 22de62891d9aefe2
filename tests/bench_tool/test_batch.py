"""A tray of boards: each device once, resumable after any break, nothing mixed up."""

import functools
import itertools
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from qytet.errors import InputError
from qytet_bench import batch_commands, filesystem, journal, program, serialport
from qytet_bench import flash as flashing
from qytet_bench.acceptance import commands as acceptance
from qytet_bench.batch import Outcome, State
from qytet_bench.esptool import Chip, Region
from qytet_bench.flash import HalfWritten, MixedUpError
from qytet_bench.node import node
from qytet_bench.program import Program
from tests.bench_tool.conftest import FakeBoards
from tests.bench_tool.desk import Desk

FAILED = ["A fatal error occurred: Failed to connect to ESP32: No serial data received."]


@pytest.fixture(autouse=True)
def _program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small program: what it does is no matter here."""
    monkeypatch.setattr(program, "build", lambda: Program("9.9.9", {"qytet_node/app.mpy": b"x"}, {}))


def batch(desk: Desk, *ports: str, options: tuple[str, ...] = ()) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON, and what was said."""
    named = [word for port in ports for word in ("--port", port)]
    result = desk.run("batch", str(desk.folder / "devices.csv"), *named, *options, "--json")
    return result.exit_code, json.loads(result.stdout), result.stderr


def states(document: dict[str, Any]) -> list[str]:
    return [device["state"] for device in document["devices"]]


def test_a_tray_is_done_once(desk: Desk, boards: FakeBoards, tmp_path: Path) -> None:
    """Each board becomes one device; what is done is not done again, what failed and what is left is."""
    desk.listed("device,site\nnode-1,skenderbej\nnode-2,blloku\nnode-3,blloku\n")
    one = boards.plug(tmp_path / "usb1", "24:0a:c4:00:00:01")
    two = boards.plug(tmp_path / "usb2", "24:0a:c4:00:00:02", FAILED)
    code, document, said = batch(desk, one, two)
    assert code == 1
    assert states(document) == ["flashed", "failed", "left"]
    assert (document["done"], document["failed"], document["left"]) == (1, 1, 1)
    assert "BOOT" in document["devices"][1]["why"]
    assert boards.written() == [one]
    three = boards.plug(tmp_path / "usb3", "24:0a:c4:00:00:03")
    code, document, _ = batch(desk, two, three, options=("--labels", str(tmp_path / "labels")))
    assert code == 0
    assert states(document) == ["flashed"] * 3
    assert [device["now"] for device in document["devices"]] == [False, True, True]
    assert sorted(boards.written()) == [one, two, three]
    macs = {device["mac"] for device in document["devices"]}
    assert len(macs) == 3
    assert {found.board for found in desk.vault} == macs
    assert len({found.password for found in desk.vault}) == 3
    page = (tmp_path / "labels" / "labels.html").read_text()
    assert all(f"qytet:device/tirana/node-{number}" in page for number in (1, 2, 3))
    assert {path.name for path in (tmp_path / "labels").iterdir()} == {
        "node-2.svg",
        "node-3.svg",
        "labels.html",
    }
    secrets = [found.password for found in desk.vault]
    for text in (
        said,
        json.dumps(document),
        (desk.folder / "devices.csv.journal").read_text(),
        str(boards.all),
    ):
        assert not any(secret in text for secret in secrets)


def test_a_board_that_is_another_device_is_put_aside(desk: Desk, boards: FakeBoards, tmp_path: Path) -> None:
    """The board of a done device, offered again, is not made the next device; the next board is."""
    desk.listed("device\nnode-1\nnode-2\n")
    one = boards.plug(tmp_path / "usb1", "24:0a:c4:00:00:01")
    two = boards.plug(tmp_path / "usb2", "24:0a:c4:00:00:02")
    code, document, said = batch(desk, one, one, two)
    assert code == 0
    assert "it stays node-1" in said
    assert [device["mac"] for device in document["devices"]] == ["24:0a:c4:00:00:01", "24:0a:c4:00:00:02"]


def test_a_person_may_say_that_a_board_becomes_another(
    desk: Desk, boards: FakeBoards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same MAC address again is asked about; a yes makes it the new device, and the old one is without a board."""
    desk.listed("device\nnode-1\nnode-2\n")
    one = boards.plug(tmp_path / "usb1", "24:0a:c4:00:00:01")
    asked: list[str] = []

    def yes(question: str) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr(batch_commands, "_ask", yes)
    code, _, _ = batch(desk, one, one)
    assert code == 0
    assert len(asked) == 1
    assert "24:0a:c4:00:00:01" in asked[0]
    assert desk.vault.holder("24:0a:c4:00:00:01") == "node-2"


def test_a_device_on_another_board_is_refused_unless_replaced(
    desk: Desk, boards: FakeBoards, tmp_path: Path
) -> None:
    """A credential that is on one board goes onto a second only if that is said, by flash as well."""
    port = boards.plug(tmp_path / "usb1", "24:0a:c4:00:00:01")
    desk.vault.credential("node-1")
    desk.vault.bind("node-1", "24:0a:c4:00:00:99")
    with pytest.raises(MixedUpError, match="another board already"):
        desk.run("flash", "--device", "node-1", "--port", port)
    assert boards.written() == []
    assert desk.run("flash", "--device", "node-1", "--port", port, "--replace").exit_code == 0
    with pytest.raises(MixedUpError, match="is node-1 already"):
        desk.run("flash", "--device", "node-2", "--port", port)
    assert desk.vault.holder("24:0a:c4:00:00:01") == "node-1"


def test_a_label_that_cannot_be_made_undoes_no_board(
    desk: Desk, boards: FakeBoards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder for labels that is none is told; the boards are flashed, shown as that, and not flashed again."""
    desk.listed("device\nnode-1\n")
    port = boards.plug(tmp_path / "usb1", "24:0a:c4:00:00:01")
    (tmp_path / "labels").touch()
    shown: list[Outcome] = []
    monkeypatch.setattr(batch_commands, "_show", lambda outcomes, **_: shown.extend(outcomes))
    with pytest.raises(InputError, match=r"labels\.html cannot be written"):
        batch(desk, port, options=("--labels", str(tmp_path / "labels")))
    assert [outcome.state for outcome in shown] == [State.FLASHED]
    with journal.opened(desk.folder / "devices.csv.journal") as notes:
        assert notes.last("node-1")["state"] == "flashed"


def test_ctrl_c_at_a_question_ends_as_everywhere(
    desk: Desk, boards: FakeBoards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever presses Ctrl-C when asked has interrupted the tray: exit code 130, and what is done is shown."""
    desk.listed("device\nnode-1\nnode-2\n")
    one = boards.plug(tmp_path / "usb1", "24:0a:c4:00:00:01")

    def pressed(*_: object, **__: object) -> bool:
        raise typer.Abort

    def asked(question: str) -> bool:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
        return ask(question)

    ask = batch_commands._ask
    monkeypatch.setattr(batch_commands, "_ask", asked)
    monkeypatch.setattr(typer, "confirm", pressed)
    code, document, _ = batch(desk, one, one)
    assert code == 130
    assert states(document) == ["flashed", "begun"]


def test_ctrl_c_keeps_what_is_done(
    desk: Desk, boards: FakeBoards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in the second board, the batch tells how it stands, exits 130, and goes on there the next time."""
    desk.listed("device\nnode-1\nnode-2\n")
    ports = [boards.plug(tmp_path / f"usb{n}", f"24:0a:c4:00:00:0{n}") for n in (1, 2)]
    real = flashing._write

    def interrupted(job: flashing.Job, *rest: Any) -> int:
        if job.node.device == "node-2":
            raise HalfWritten(job.node.device)
        return real(job, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(flashing, "_write", interrupted)
        code, document, _ = batch(desk, *ports)
    assert code == 130
    assert document["interrupted"] is True
    assert states(document) == ["flashed", "interrupted"]
    assert [device["now"] for device in document["devices"]] == [True, True]
    code, document, _ = batch(desk, ports[1])
    assert code == 0
    assert states(document) == ["flashed", "flashed"]


def test_a_node_that_fails_its_test_is_tested_again_and_not_flashed_again(
    desk: Desk, boards: FakeBoards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --test a device is done when it is accepted; the next run only repeats the test, without a board."""
    desk.listed("device\nnode-1\n")
    port = boards.plug(tmp_path / "usb1", "24:0a:c4:00:00:01")
    with pytest.raises(InputError, match="address is not known"):
        batch(desk, port, options=("--test",))  # before any board is touched
    assert boards.written() == []
    desk.common["api"] = "http://127.0.0.1:1"
    desk.write()
    verdicts = iter([1, 0])
    asked: list[str] = []

    def accept(device: str, *_: object, **__: object) -> None:
        asked.append(device)
        print("what the test says")
        if code := next(verdicts):
            raise typer.Exit(code)

    monkeypatch.setattr(acceptance, "accept", accept)
    code, document, _ = batch(desk, port, options=("--test",))
    assert code == 1
    assert states(document) == ["refused"]
    assert "did not pass" in document["devices"][0]["why"]
    runs = len(boards.all[port]["argv"])
    code, document, _ = batch(desk, options=("--test",))
    assert code == 0
    assert states(document) == ["accepted"]
    assert document["devices"][0]["mac"] == "24:0a:c4:00:00:01"
    assert len(boards.all[port]["argv"]) == runs
    assert asked == ["node-1"] * 2


class Cut(BaseException):
    """The machine has died."""


def test_a_cut_at_any_step_mixes_nothing_up(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever a tray ends, the same command finishes it: each board is one device, with that device's credential."""
    macs = {str(tmp_path / f"usb{n}"): f"24:0a:c4:00:00:0{n}" for n in (1, 2)}
    on_board: dict[str, str] = {}
    steps, cut_at = itertools.count(1), 0

    def step() -> None:
        if next(steps) == cut_at:
            raise Cut

    class Tool:
        attempts = 1

        def __init__(self, port: str, *_: object, **__: object) -> None:
            self.port = port

        def identify(self) -> Chip:
            step()
            return Chip("esp32", "ESP32", macs[self.port], filesystem.DATA_AT + (512 << 10))

        def write(self, _chip: str, regions: list[Region], _progress: object) -> None:
            step()
            told = json.loads(filesystem.read(regions[1].path.read_bytes())["/etc/node.json"])
            on_board[macs[self.port]] = told["broker"]["password"]
            step()

    real = os.fsync

    def fsync(descriptor: int) -> None:
        step()
        real(descriptor)

    monkeypatch.setattr(flashing, "Esptool", Tool)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(serialport, "holders", lambda _port: [])  # a look at all processes takes its time
    desk.common["keep_bytes"] = 65536  # a small flash, as each run fills it
    desk.write()
    for port in macs:
        Path(port).touch()
    ended = False
    while not ended:
        for path in (desk.vault.folder, desk.folder / "devices.csv.journal"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        on_board.clear()
        desk.listed("device\nnode-1\nnode-2\n")
        steps, cut_at = itertools.count(1), cut_at + 1
        try:
            batch(desk, *macs)
            ended = True
        except Cut:
            code, document, _ = batch(desk, *macs)
            assert (code, states(document)) == (0, ["flashed", "flashed"]), cut_at
        assert {found.board: found.password for found in desk.vault} == on_board, cut_at
    assert cut_at > 20


def test_changed_lines_of_done_devices_are_named(desk: Desk, boards: FakeBoards, tmp_path: Path) -> None:
    """A device that is done with another profile than the list now says is not silently taken for right."""
    desk.listed("device,profile\nnode-1,air\n")
    port = boards.plug(tmp_path / "usb1", "24:0a:c4:00:00:01")
    batch(desk, port)
    desk.listed("device,profile\nnode-1,water\n")
    code, document, _ = batch(desk, port)
    assert code == 0
    assert "profile air, now water" in document["devices"][0]["why"]
    code, document, _ = batch(desk, port, options=("--again", "node-1"))
    assert code == 0
    assert document["devices"][0]["now"] is True
    with pytest.raises(InputError, match="no device node-9"):
        batch(desk, port, options=("--again", "node-9"))


def test_boards_are_waited_for_and_asked_for_by_name(
    desk: Desk, boards: FakeBoards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ports the next device is named, a board that is plugged in is it, and without one the batch ends."""
    desk.listed("device,site\nnode-1,skenderbej\nnode-2,blloku\n")
    port = boards.plug(tmp_path / "usb1", "24:0a:c4:00:00:01")
    modem = serialport.Port("/dev/modem", "", "", "")
    found = [modem, serialport.Port(port, "", "CP210x", "")]
    looks = iter([[modem], [modem], [modem], found])
    monkeypatch.setattr(serialport, "ports", lambda: next(looks, found))
    monkeypatch.setattr(
        serialport, "Watcher", functools.partial(serialport.Watcher, look=lambda: serialport.ports())
    )
    seconds = [0.0]  # a second goes by between two looks, and none while the machine stands still
    clock = SimpleNamespace(monotonic=lambda: seconds[0], sleep=lambda _s: seconds.append(seconds.pop() + 1))
    monkeypatch.setattr(serialport, "time", clock)
    code, document, said = batch(desk, options=("--wait", "5"))
    assert code == 1
    assert states(document) == ["flashed", "left"]
    assert "Plug in the board for node-1 (skenderbej)." in said
    assert "charge" in said


def test_a_board_that_comes_back_under_another_name_is_the_same(
    desk: Desk, boards: FakeBoards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cable that was pulled and is in again, on another port: whoever says `again` goes on with that board."""
    desk.listed("device\nnode-1\n")
    mac = "24:0a:c4:00:00:01"
    there = [boards.plug(tmp_path / "usb1", mac, FAILED)]
    monkeypatch.setattr(
        serialport, "ports", lambda: [serialport.Port(path, "", "CP210x", "") for path in there]
    )
    monkeypatch.setattr(
        serialport, "Watcher", functools.partial(serialport.Watcher, look=lambda: serialport.ports())
    )

    def plugged_in_again(_question: str) -> bool:
        there[:] = [boards.plug(tmp_path / "usb2", mac)]
        return True

    monkeypatch.setattr(batch_commands, "_ask", plugged_in_again)
    code, document, said = batch(desk, options=("--wait", "1"))
    assert (code, document["devices"][0]["mac"]) == (0, mac)
    assert "Plug it in again." in said
    assert boards.written() == [str(tmp_path / "usb2")]


def test_checking_touches_nothing(desk: Desk) -> None:
    """`--check` says how many devices are right, and makes neither credentials nor a journal."""
    path = desk.listed("device\nnode-1\n")
    assert desk.says("batch", str(path), "--check", "--json") == {"devices": 1}
    assert not desk.vault.folder.exists()
    assert not path.with_name("devices.csv.journal").exists()


def test_no_room_on_the_disk_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when the board's image is written ends in words, with nothing left behind."""
    job = flashing.prepare(node(desk.settings, "node-1"), desk.settings)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    stale = desk.vault.folder / ".flash-of-a-power-cut"
    desk.vault.credential("node-1")
    stale.mkdir()
    os.utime(stale, (0, 0))
    monkeypatch.setattr(flashing, "write_new", full)
    with pytest.raises(InputError, match="no room"), flashing._files(job, b"x"):
        pass
    assert [path.name for path in desk.vault.folder.iterdir()] == ["node-1.json"]
