"""`qytet simulate` as people and the demo use it: a process with arguments, signals, files and exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qytet import settings
from qytet.db.registry import parse
from qytet.embedded import EmbeddedNats
from qytet.errors import QytetError
from qytet_simulators.commands import app
from qytet_simulators.oracle import Accepted, read
from tests.flow.demo_process import newest
from tests.simulators.device_server import MarkServer

LIMIT = 90.0  # s


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "qytet", "simulate", *map(str, arguments)]


def run(folder: Path, *arguments: str | Path, broker: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a folder without settings; the broker's URL travels by environment, as it holds a password."""
    environment = {**os.environ, "QYTET_BROKER__URL": broker}
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT
    )


Here = Callable[..., str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """The command within this process, in a folder without settings; gives what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QYTET_BROKER__URL", raising=False)
    settings.load.cache_clear()

    def invoke(*arguments: str | Path) -> str:
        found = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return found.stdout

    yield invoke
    settings.load.cache_clear()


def test_describe_is_what_the_registry_reads(here: Here) -> None:
    """The description of the fleet is accepted by the registry: three cities, at least 60 devices."""
    found = parse(here("describe").encode())
    assert {city.city for city in found.cities} == {"tirana", "durres", "korce"}
    assert len(found.devices) >= 60
    scaled = parse(here("describe", "--devices", "200", "--city", "korce").encode())
    assert len({device.device for device in scaled.devices}) == 200
    assert {device.city for device in scaled.devices} == {"korce"}


def test_scenarios_are_listed_and_checked(here: Here) -> None:
    """Samples are listed; a good file is summed up, a wrong one refused with the place of the mistake."""
    names = json.loads(here("scenario", "--json"))["scenarios"]
    assert "bad-day" in names
    found = json.loads(here("scenario", "--check", "bad-day", "--json"))
    assert "offline" in found["faults"]
    wrong = Path("wrong.toml")
    wrong.write_text('name = "x"\n[[fault]]\nkind = "ofline"\n')
    with pytest.raises(QytetError, match="ofline"):
        here("scenario", "--check", wrong)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "No broker is known"),
        (("--broker", "mqtt://127.0.0.1:1"), "cannot reach the broker"),
        (("--broker", "tcp://x"), "cannot be used"),
        (("--scenario", "nowhere"), "cannot be read"),
        (("--city", "atlantis"), "atlantis"),
        (("--start", "2039-01-01"), "future"),
    ],
)
def test_mistakes_are_explained(here: Here, arguments: tuple[str, ...], words: str) -> None:
    """What cannot be done ends with one error that says what, why or what to do."""
    with pytest.raises(QytetError) as caught:
        here("city", *arguments)
    assert words in str(caught.value)
    assert caught.value.why or caught.value.do


@pytest.mark.servers
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_sampling_and_waits_for_marks(
    nats_server: EmbeddedNats, tmp_path: Path, number: signal.Signals
) -> None:
    """After Ctrl-C or SIGTERM everything in the oracle is stored, marked and accounted for; exit code 0."""
    with MarkServer(nats_server.url("ingest")) as server:
        found = _interrupted(nats_server, tmp_path, number)
        assert found["code"] == 0
        last = found["last"]
        accepted = [entry for entry in read(tmp_path / "oracle") if isinstance(entry, Accepted)]
        assert last["records"] == last["stored"] == len(accepted) > 0
        assert last["unmarked"] == last["unsettled"] == 0
        assert all(entry.seq in server.stored[entry.device, entry.boot] for entry in accepted)
        assert last["stored_ms"]["p99"] > 0
    lines = [json.loads(line) for line in (tmp_path / "stats").read_text().splitlines()]
    assert len(lines) >= 3
    assert [line["last"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert set(lines[0]["cities"]) == {"tirana", "durres", "korce"}


@pytest.mark.servers
def test_unmarked_records_are_admitted(nats_server: EmbeddedNats, tmp_path: Path) -> None:
    """Without a server that marks, the command says how many records are unaccounted for; exit code 1."""
    found = _interrupted(nats_server, tmp_path, signal.SIGINT, "--settle", "1")
    assert found["code"] == 1
    assert found["last"]["unmarked"] == found["last"]["records"] > 0


@pytest.mark.servers
def test_flood_and_fuzz_give_account(nats_server: EmbeddedNats, tmp_path: Path) -> None:
    """A flood with marks ends with every record marked; a fuzz run with every message acknowledged."""
    with MarkServer(nats_server.url("ingest")):
        flood = run(
            tmp_path,
            *(
                "flood",
                "--records",
                "2000",
                "--prefix",
                "cli",
                "--marks",
                "--oracle",
                "flood.oracle",
                "--json",
            ),
            broker=nats_server.url("simulator"),
        )
    assert flood.returncode == 0, flood.stderr
    found = json.loads(flood.stdout)
    assert (found["records"], found["unmarked"], found["unacked"]) == (2000, 0, 0)
    assert sum(isinstance(entry, Accepted) for entry in read(tmp_path / "flood.oracle")) == 2000
    fuzz = run(tmp_path, "fuzz", "--count", "500", "--json", broker=nats_server.url("simulator"))
    assert fuzz.returncode == 0, fuzz.stderr
    found = json.loads(fuzz.stdout)
    assert found["acked"] == sum(found["reasons"].values()) == 500


def _interrupted(broker: EmbeddedNats, folder: Path, number: signal.Signals, *more: str) -> dict[str, Any]:
    """Start the three cities, send a signal once records flow, and give exit code and last words."""
    arguments = ("city", "--interval", "1", "--oracle", "oracle", "--stats-file", "stats", "--json", *more)
    program = subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env={**os.environ, "QYTET_BROKER__URL": broker.url("simulator")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + LIMIT
        while newest(folder / "stats").get("records", 0) < 100:
            assert time.monotonic() < end, "no records"
            assert program.poll() is None, "the program ended by itself"
            time.sleep(0.05)
        program.send_signal(number)
        out, _ = program.communicate(timeout=LIMIT)
    finally:
        program.kill()
        program.wait()
    return {"code": program.returncode, "last": json.loads(out)}
