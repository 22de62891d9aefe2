"""From a blank board to an accepted node: the technician's commands, and everything real behind them."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import tests.hardware
from qytet.db import registry
from qytet.db.migrate import connect, migrate
from qytet_bench import device_code
from qytet_bench.acceptance.record import is_intact
from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.profiles import wiring_for
from qytet_simulators.hardware.rom import RomPort
from tests.api.served import serve
from tests.bench_tool.desk import Desk
from tests.flow.workers import Worker
from tests.nodes.marks import Marks, Watcher
from tests.nodes.street import CITY, NODE, PASSWORD, SITE, SSID, place
from tests.servers.micropython import MicroPython
from tests.servers.mosquitto import MosquittoServer

PROFILE = "water"
TRANSCRIPT = "transcript.json"
"""Rows of a command and what it said, for the pictures of the tutorial (docs/pictures.py)."""
Bench = Callable[..., str]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A technician's folder with bench.toml."""
    (tmp_path / "desk").mkdir()
    return Desk(tmp_path / "desk")


@pytest.fixture
def bench(desk: Desk, postgres_url: str, tmp_path: Path) -> Iterator[Bench]:
    """`bench("bench", "flash", …)`: a command as a technician starts it, in the desk's folder; what it printed."""
    transcript: list[tuple[str, str]] = []
    (tmp_path / "esptool.cfg").write_text(
        "[esptool]\ntimeout = 3\nsync_timeout = 0.2\nconnect_attempts = 7\n"
    )
    environment = {
        **os.environ,
        "QYTET_DATABASE__URL": postgres_url,
        "ESPTOOL_CFGFILE": str(tmp_path / "esptool.cfg"),
        "PYTHONPATH": str(Path(tests.hardware.__file__).parent / "quick"),
    }

    def run(*arguments: str, given: str | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "qytet", *arguments],
            cwd=desk.folder,
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        transcript.append((shlex.join(["qytet", *arguments]), done.stderr + done.stdout))
        return done.stdout

    yield run
    (tmp_path / TRANSCRIPT).write_text(json.dumps(transcript))


@pytest.mark.servers
def test_from_a_blank_board_to_an_accepted_node(
    desk: Desk,
    bench: Bench,
    micropython: MicroPython,
    mosquitto_tls: MosquittoServer,
    postgres_url: str,
    tmp_path: Path,
) -> None:
    """Flashed, it joins, gets time, births, samples and publishes over TLS; it is stored, marked, and accepted."""
    _set_up(desk, mosquitto_tls)
    with connect(postgres_url) as connection:
        migrate(connection)
        registry.register(connection, registry.parse(place()))
    described = bench("bench", "description", "--device", NODE, "--site", SITE)
    bench("device", "register", "-", given=described)
    marks = Marks()
    with ExitStack() as stack:
        stack.enter_context(Worker(postgres_url, mosquitto_tls.url("ingest"), tmp_path))
        stack.enter_context(Watcher(mosquitto_tls, marks, CITY, NODE))
        flash = stack.enter_context(FlashFile(tmp_path / "flash.bin"))
        board = stack.enter_context(Board(flash, _wiring(), needs_image=True, speed=1.0))
        port = stack.enter_context(RomPort(board))
        _flash(bench, port, desk)
        board.console.wait_for("qytet ", 120)
        marks.wait_for(lambda: bool(marks.sent) and marks.drained, 120)
        api = stack.enter_context(serve(postgres_url, tmp_path))
        bench("bench", "monitor", "--port", port.url, "--reset", "--for", "12")
        accepted = _accept(bench, api.url, desk)
        bench("bench", "label", "--device", NODE, "--site", SITE, "--out", "label.svg")
        assert board.internet.connections >= 1
        board.power_cut()
    assert accepted["device"] == NODE
    assert {check["state"] for check in accepted["checks"]} <= {"passed", "skipped"}
    assert accepted["result"] == "passed"
    assert is_intact(accepted)
    assert list((desk.folder / "acceptance").glob(f"{NODE}-*.html"))
    with connect(postgres_url) as connection:
        _check_stored(connection, accepted)


def _set_up(desk: Desk, broker: MosquittoServer) -> None:
    """bench.toml of this street, and the password that the broker's operator issued."""
    broker.add_users([NODE])
    broker.wait_for_user(NODE)
    (desk.folder / "ca.crt").write_bytes(broker.ca_file.read_bytes())
    (desk.folder / "wifi.txt").write_text(PASSWORD + "\n")
    (desk.folder / "issued.txt").write_text(broker.password(NODE) + "\n")
    (desk.folder / "issued.txt").chmod(0o600)
    desk.common |= {
        "city": CITY,
        "profile": PROFILE,
        "report_s": 2,
        "ntp": ["localhost"],
        "sensors": {name: {"every_s": 2} for name in ("temperature", "sewer")},
        "wifi": {"ssid": SSID, "password_file": "wifi.txt"},
        "broker": {"host": "localhost", "port": broker.tls_port},
    }
    desk.write()


def _wiring() -> Any:
    settings = {"profile": PROFILE, "board": "esp32-devkitc", "pins": {}, "sensors": {}, "outputs": {}}
    kind = device_code.kind({**settings, "report_s": None})
    return wiring_for(kind.profile, kind.board, seed=3)


def _flash(bench: Bench, port: RomPort, desk: Desk) -> None:
    said = bench("bench", "flash", "--device", NODE, "--port", port.url, "--password-file", "issued.txt")
    assert f"{NODE} is on the board" in said
    assert (desk.folder / "issued.txt").read_text().strip() not in said


def _accept(bench: Bench, url: str, desk: Desk) -> dict[str, Any]:
    """The record that the command wrote."""
    bench("bench", "test", "--device", NODE, "--site", SITE, "--api", url, "--every", "0.5")
    (name,) = (desk.folder / "acceptance").glob(f"{NODE}-*.json")
    told: dict[str, Any] = json.loads(name.read_text())
    return told


def _check_stored(connection: Any, accepted: dict[str, Any]) -> None:
    """Each value of the record's first reading is in the database, once."""
    first = accepted["first_reading"]
    found = connection.execute(_AT, {"device": NODE, "t": first["t"]}).fetchall()
    assert first["values"]
    assert sorted(found) == sorted((key, one["value"]) for key, one in first["values"].items())


_AT = (
    "select key, value from qytet.reading where device = %(device)s and phenomenon_time = %(t)s::timestamptz"
)
