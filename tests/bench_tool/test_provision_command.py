"""`qytet bench provision`: from bench.toml and a board that runs MicroPython to a node that says its first word."""

import functools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qytet.errors import InputError
from qytet_bench import monitor, program, provision_commands
from qytet_bench.console import Redactor, Said
from qytet_bench.flash import MixedUpError
from qytet_bench.line import Line
from tests.bench_tool.desk import WIFI_PASSWORD, Desk
from tests.bench_tool.nodeboard import board, content

MAC = "24:0a:c4:51:74:01"


def test_a_board_becomes_the_node_and_no_other_by_accident(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real program starts with settings and credential of the vault, which is bound to the board and stays so."""
    monkeypatch.setattr(program, "build", functools.cache(program.build))
    with board(tmp_path, {}, speed=60) as (made, flash):
        port = ["--port", made.console.path, "--wait", "120"]
        done = desk.run("provision", "--device", "node-1", "--profile", "waste", *port, "--json")
        assert done.exit_code == 0, done.output + done.stderr
        told = json.loads(done.stdout)
        assert told["started"].startswith("qytet ")
        assert (told["device"], told["mac"]) == ("node-1", MAC)
        assert told["written"][-3:] == ["/boot.py", "/slot.json", "/main.py"]
        credential = desk.vault.find("node-1")
        assert credential is not None
        assert credential.board == MAC
        assert credential.password not in done.output + done.stderr + made.console.text
        assert WIFI_PASSWORD not in done.output + done.stderr + made.console.text
        with pytest.raises(MixedUpError, match="node-1 already") as caught:
            desk.run("provision", "--device", "node-2", "--profile", "waste", *port)
        assert "--replace" in caught.value.do
        found = content(made, flash)
    settings = json.loads(found["/etc/node.json"])
    assert settings["broker"]["password"] == credential.password
    assert (settings["device"], settings["profile"]) == ("node-1", "waste")


def test_a_node_that_does_not_start_is_said_so(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a first word the exit code is 1; what the console says instead is shown, put into words."""
    broken = b"print('Booting.')\nraise MemoryError('memory allocation failed, allocating 4096 bytes')\n"
    made_of = program.Program("0.1.0", {"qytet_node/app.mpy": b"M"}, {"boot.py": b"", "main.py": broken})
    monkeypatch.setattr(program, "build", lambda: made_of)

    def follow(line: Line, redact: Redactor, *, until: float) -> Iterator[Said]:
        """The time is over when the failure was heard, and not before: how long that takes is the machine's affair."""
        assert until <= time.monotonic() + 2
        for said in monitor.follow(line, redact, until=until + 60):
            yield said
            if said.kind == "traceback":
                return

    monkeypatch.setattr(provision_commands, "follow", follow)
    with board(tmp_path, {}) as (made, _):
        done = desk.run(
            "provision",
            "--device",
            "node-1",
            "--profile",
            "waste",
            "--port",
            made.console.path,
            "--wait",
            "2",
        )
    assert done.exit_code == 1
    assert "files written" in done.stdout
    assert "qytet bench monitor" in done.stdout
    assert "ran out of memory" in done.stderr


def test_a_flash_that_is_too_small_for_the_node_is_left_alone(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two slots and the readings to be kept must fit: else nothing is written, and nothing bound in the vault."""
    tiny = program.Program("0.1.0", {"qytet_node/app.mpy": b"M"}, {"boot.py": b"", "main.py": b""})
    monkeypatch.setattr(program, "build", lambda: tiny)
    with board(tmp_path, {}, size=0x280000) as (made, flash):
        made.console.wait_for(">>> ")
        before = flash.operations
        with pytest.raises(InputError, match="too small") as caught:
            desk.run("provision", "--device", "node-1", "--profile", "waste", "--port", made.console.path)
        assert "keep_bytes" in caught.value.do
        assert flash.operations == before
    bound = desk.vault.find("node-1")
    assert bound is not None
    assert not bound.board
