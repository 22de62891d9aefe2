"""`qytet simulate node`: a developer without a board runs a whole node with one command, and hears how it went.

Each test starts the command as a program, as a developer does.
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from qytet.errors import InputError
from qytet_simulators.device.address import Address
from qytet_simulators.hardware import commands, nodeflash
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.watcher import Watcher
from tests.hardware.whole import City
from tests.servers.micropython import MicroPython
from tests.servers.mosquitto import MosquittoServer

pytestmark = pytest.mark.servers


def _command(tmp_path: Path, url: str, *more: str) -> list[str]:
    command = [sys.executable, "-m", "qytet", "simulate", "node", "--profile", "lighting", "--json"]
    return [*command, "--broker", url, "--flash", str(tmp_path / "flash.bin"), *more]


def test_one_command_runs_a_node(
    mosquitto_tls: MosquittoServer, micropython: MicroPython, tmp_path: Path
) -> None:
    """Its flash is made by the bench, its console is shown, all that it made is sent over TLS and accounted for.

    With the same flash it goes on. Ctrl-C ends it in order; what a silent city did not mark waits on the flash, which
    the account and the exit code say.
    """
    mosquitto_tls.add_users(["node-lighting"])
    mosquitto_tls.wait_for_user("node-lighting")
    url = mosquitto_tls.url("node-lighting", tls=True)
    command = _command(
        tmp_path, url, "--ca", str(mosquitto_tls.ca_file), "--speed", "60", "--duration", "130"
    )
    with City(mosquitto_tls, "node-lighting") as city:
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        account = json.loads(done.stdout)
        (told,) = city.records.values()
        reports = [one for one in told.values() if "lamp_active_power" in one["m"]]
    assert "info qytet " in done.stderr
    assert mosquitto_tls.password("node-lighting") not in done.stdout + done.stderr
    assert len(reports) >= 2
    assert account["made"] == account["sent"] == account["marked"] == len(told)
    assert (account["waiting"], account["city"], account["profile"]) == (0, "tirana", "lighting")
    assert 130 <= account["board_seconds"] < 130 + 60 * (10 + 5), "no longer than it waits for marks, by far"
    left = _interrupted(mosquitto_tls, tmp_path, since=set(city.records))
    assert left["waiting"] == left["made"] - left["marked"] > 0
    assert 0 < left["sent"] <= left["made"], "what it made as it stopped may not have been heard"
    with FlashFile(tmp_path / "flash.bin") as chip:
        assert nodeflash.read_node(chip).settings["profile"] == "lighting"
        assert sum(nodeflash.kept_records(chip).values()) >= left["waiting"]


def _interrupted(broker: MosquittoServer, tmp_path: Path, since: set[str]) -> dict[str, Any]:
    """The account of a node that was told to stop by Ctrl-C once a record of its new boot was heard."""
    command = _command(tmp_path, broker.url("node-lighting"), "--speed", "20", "--settle", "0")
    with (
        City(broker, "node-lighting", marks=False) as city,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path
        ) as process,
    ):
        try:
            city.wait_until(lambda: bool(set(city.records) - since), 120)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=100)
        finally:
            process.kill()
    assert process.returncode == 1
    found: dict[str, Any] = json.loads(said)
    return found


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mqtt://one:secret@192.0.2.7:1883", "another machine"),
        ("mqtt://127.0.0.1:1883", "no user"),
        ("mqtts://one:secret@127.0.0.1", "no authority"),
    ],
)
def test_a_broker_that_no_node_can_use_is_refused_in_words(url: str, words: str) -> None:
    """What cannot work is said before a board is made, without the password."""
    with pytest.raises(InputError) as refused:
        commands._loopback(Address.parse(url))
    assert words in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_flash_that_was_not_finished_is_none(tmp_path: Path) -> None:
    """Whatever ends the making of a new flash leaves no blank one behind for the next run to start from."""
    image, flash = tmp_path / "small.img", tmp_path / "kept.bin"
    image.write_bytes(b"\xff" * 4096)
    with pytest.raises(InputError, match="0x200000"), commands._flash(flash, 4, image, cast("Any", None)):
        pass
    assert sorted(tmp_path.iterdir()) == [image]


def test_whoever_watches_hears_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """The board begins when the broker has answered every subscription, not when it has let the watcher in."""
    watcher = Watcher(Address.parse("mqtt://one:secret@127.0.0.1:1883"), "one", "tirana", "node-1")
    asked: list[str] = []
    monkeypatch.setattr(watcher._mqtt, "subscribe", lambda topic, _qos: asked.append(topic))
    granted = SimpleNamespace(is_failure=False)
    watcher._on_connect(None, None, None, granted, None)
    for _ in asked:
        assert not watcher._listens.is_set()
        watcher._on_subscribe(None, None, None, [granted], None)
    assert watcher._listens.is_set()
    assert watcher.sees


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    """MicroPython takes the partition to the flash's end: what does not fill it would not be mounted."""
    image = tmp_path / "small.img"
    image.write_bytes(b"\xff" * 4096)
    with FlashFile(tmp_path / "flash.bin") as chip, pytest.raises(InputError, match="0x200000"):
        nodeflash.install(chip, image)
    with FlashFile(tmp_path / "flash.bin") as chip, pytest.raises(InputError, match="no flash of a node"):
        nodeflash.read_node(chip)


def test_the_end_waits_for_records_that_nobody_has_heard_of_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that has just been made is on the flash and not sent: the board keeps its power until it is marked."""
    done: list[str] = []

    def looked(_chip: object, _watcher: object) -> dict[str, int]:
        done.append("looked")
        return {"waiting": int(len(done) == 1)}

    monkeypatch.setattr(commands, "_account", looked)
    board: Any = SimpleNamespace(call=lambda act: act(), power_cut=lambda: done.append("cut"))
    nothing: Any = None
    assert not commands._cut_if_settled(board, nothing, nothing)
    assert commands._cut_if_settled(board, nothing, nothing)
    assert done == ["looked", "looked", "cut"], "and nothing can be made between the look and the cut"


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    """Of what a program says without ever ending its line, the last is shown when it does."""
    shown = io.StringIO()
    lines = commands._Lines(shown)
    for _ in range(100):
        lines(b"x" * 1000)
    lines(b"the end\r\n")
    assert shown.getvalue().endswith("x" + "the end\n")
    assert len(shown.getvalue()) < 6000


def test_whoever_read_the_console_may_go() -> None:
    """A pipe that closes, as `| head` does, ends no bench in the middle: it is known, and nothing more is written."""
    ours, theirs = os.pipe()
    os.close(ours)
    out = os.fdopen(theirs, "w")
    lines = commands._Lines(out)
    lines(b"one\r\ntwo\r\n")
    assert isinstance(lines.error, BrokenPipeError)
    lines(b"three\r\n")
    with contextlib.suppress(BrokenPipeError):
        out.close()
