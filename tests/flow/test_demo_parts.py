"""The demo's parts by themselves: percentiles, fresh records, figures, wishes, ports, orphans, the environment."""

import io
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from rich.console import Console

from qytet.demo import probe
from qytet.demo.children import environment
from qytet.demo.figures import Figures, Reader, last_line
from qytet.demo.folder import claimed
from qytet.demo.growing import whole_lines
from qytet.demo.options import api_port
from qytet.demo.probe import Latencies
from qytet.demo.view import View
from qytet.demo.wishes import Wishes
from qytet.embedded import PortTakenError
from qytet.embedded.ports import LOOPBACK, free_port
from qytet.errors import ServerError

_ROOT = Path(__file__).parents[2]
_PATIENCE_S = 30.0


def test_percentiles_are_of_the_values_themselves() -> None:
    """Nearest rank: p99 of 1 to 100 is 99, not something between."""
    found = Latencies()
    for value in range(100, 0, -1):
        found.add(float(value))
    assert found.summary() == {"count": 100, "p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert Latencies().summary() == {"count": 0, "p50": None, "p95": None, "p99": None, "max": None}


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set each time that a prober has passed over what is there; what is written from then on is fresh."""
    passed, pass_over = threading.Event(), probe._seek_after_whole_lines

    def told(file: BinaryIO) -> None:
        pass_over(file)
        passed.set()

    monkeypatch.setattr(probe, "_seek_after_whole_lines", told)
    return passed


def test_a_prober_takes_fresh_whole_records_and_counts_until_they_are_visible(
    tmp_path: Path, looked: threading.Event
) -> None:
    """What was written before, or in part, is not measured; the latency runs from the record's own clock."""
    oracle = tmp_path / "oracle.jsonl"
    oracle.write_bytes(_line("old", 0))
    asked: list[str] = []

    def visible(_link: object, record: dict[str, object]) -> bool:
        asked.append(str(record["device"]))
        return asked.count(str(record["device"])) == 3

    prober = probe.Prober(oracle, free_port(), visible, seed=1, ask_s=0.01)
    with prober.running(), oracle.open("ab", buffering=0) as file:
        assert looked.wait(_PATIENCE_S)
        line = _line("new", round(time.time() * 1000) - 500)
        file.write(line[:20])
        time.sleep(0.05)  # some looks at half a line
        file.write(line[20:])
        _until(lambda: prober.latencies.summary()["count"] == 1)
    assert asked == ["new"] * 3
    assert 500 <= float(prober.latencies.summary()["max"] or 0) < 1000 * _PATIENCE_S


def test_a_prober_that_came_in_the_middle_of_a_line_waits_for_its_end(
    tmp_path: Path, looked: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is half written when the prober looks is read when it is whole, and its failure would be told."""
    oracle, line = tmp_path / "oracle.jsonl", _line("split", round(time.time() * 1000))
    oracle.write_bytes(_line("old", 0) + line[:30])
    prober = probe.Prober(oracle, free_port(), lambda _link, _record: True, seed=1, ask_s=0.01)
    with prober.running(), oracle.open("ab", buffering=0) as file:
        assert looked.wait(_PATIENCE_S)
        file.write(line[30:])
        _until(lambda: prober.latencies.summary()["count"] == 1)
    assert prober.failure is None
    broken = probe.Prober(oracle, free_port(), lambda _link, _record: True, seed=1, ask_s=0.01)
    taken, choose = threading.Event(), broken._chosen

    def chosen(lines: list[bytes]) -> dict[str, Any] | None:
        taken.set()
        return choose(lines)

    monkeypatch.setattr(broken, "_chosen", chosen)
    looked.clear()
    with broken.running(), oracle.open("ab", buffering=0) as file:
        assert looked.wait(_PATIENCE_S)
        file.write(b"no json\n")
        assert taken.wait(_PATIENCE_S)
    assert isinstance(broken.failure, ValueError)


def test_a_line_that_grows_under_the_reading_is_not_taken_for_two() -> None:
    """What its writer adds between two reads of one look belongs to the line that was there in part."""
    pieces = [b'{"n":1}\n{"n":', b"", b'2}\n{"n":3', b"", b"}\n", b""]

    class Growing(io.RawIOBase):
        def __init__(self) -> None:
            self._there, self._at = b"", 0

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            self._at = offset + (self._at if whence == 1 else 0)
            return self._at

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            if self._at == len(self._there) and pieces:
                piece = pieces.pop(0)
                self._there += piece
                if not piece:
                    return 0  # the end of the file, for now
            found = self._there[self._at : self._at + len(buffer)]
            buffer[: len(found)] = found
            self._at += len(found)
            return len(found)

    file: BinaryIO = io.BufferedReader(Growing())  # type: ignore[type-var]  # its methods are optional to us
    looks = [whole_lines(file) for _ in range(4)]
    assert looks == [[b'{"n":1}\n'], [b'{"n":2}\n'], [b'{"n":3}\n'], []]


def test_figures_survive_half_a_line_and_keep_the_file_bounded(tmp_path: Path) -> None:
    """The newest whole line counts; a file beyond its limit begins anew while its writer appends."""
    stats = tmp_path / "stats.jsonl"
    assert last_line(stats) == {}
    stats.write_bytes(b'{"n":1}\n{"n":2}\n{"n":')
    assert last_line(stats) == {"n": 2}
    stats.write_bytes(b'{"n":3}\n' * 600_000)
    assert last_line(stats) == {"n": 3}
    assert stats.stat().st_size == 0


def test_rates_come_from_two_moments(tmp_path: Path) -> None:
    """Readings a second are the difference of two lines of the simulators by their own clock."""
    stats, reader = tmp_path / "stats.jsonl", Reader(tmp_path / "stats.jsonl", free_port())
    stats.write_bytes(_stats(at=100.0, readings=50))
    assert reader.now().rate == 0.0
    stats.write_bytes(_stats(at=102.0, readings=90))
    now = reader.now()
    assert (now.rate, now.cities["korce"].rate, now.readings, now.held) == (20.0, 20.0, 90, 3)


def test_elsewhere_than_on_a_terminal_the_view_is_plain_lines() -> None:
    """No control characters get into a file, and the line names each city."""
    text = io.StringIO()
    with View(Console(file=text), "Qytet") as view:
        view._next_line = 0.0
        view.show(Figures(readings=7, readings_stored=6, lag_s=0.5, dead_letters=2), 12.0)
        view.show(Figures(readings=9), 13.0)
    assert text.getvalue().splitlines() == [
        "  12 s  0 readings/s (); 7 generated, 6 stored; lag 0.50 s; 2 dead letters"
    ]


def test_wishes_interrupt_what_starts_and_ask_what_runs() -> None:
    """The first wish interrupts a start; once ready it only asks, the second interrupts, a third changes nothing."""
    with Wishes(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    before = signal.getsignal(signal.SIGINT)
    with Wishes() as running:
        running.ready()
        signal.raise_signal(signal.SIGINT)
        assert running.stop.is_set()
        assert not running.hurry
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert running.hurry
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_taken_port_is_refused_if_asked_for_else_the_next_is_found() -> None:
    """A port of one's own choice is never changed; the usual one is, and the demo says so."""
    text = io.StringIO()
    with socket.create_server((LOOPBACK, 0)) as holder:
        taken = holder.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(taken)):
            api_port(taken, 8100, Console(file=text))
        assert text.getvalue() == ""
        assert api_port(None, taken, Console(file=text)) > taken
    assert f"Port {taken} is taken" in text.getvalue()


def test_children_of_a_killed_demo_are_ended_and_strangers_are_not(tmp_path: Path) -> None:
    """A noted pid is ended at the next start only if it is still the same process."""
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleep) as ours, subprocess.Popen(sleep) as stranger:
        try:
            with claimed(tmp_path) as folder:
                folder.note("http://127.0.0.1:1/", {"ingest": ours.pid, "api": stranger.pid})
                state = folder.state()
                state["children"][1]["began"] -= 60  # as if the pid had been given to another program
            (folder.own / "state.json").write_text(json.dumps(state), encoding="utf-8")
            reaper = threading.Thread(target=ours.wait)
            reaper.start()
            with claimed(tmp_path):
                reaper.join(_PATIENCE_S)
                assert ours.returncode == -signal.SIGTERM
                assert stranger.poll() is None
                assert folder.state() == {}
        finally:
            for one in (ours, stranger):
                one.kill()


def test_a_file_in_the_folders_place_is_explained(tmp_path: Path) -> None:
    """What cannot be a data folder is an error with the way out, not a traceback."""
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(ServerError) as caught, claimed(tmp_path / "data"):
        pass
    assert "QYTET_DATA_DIR" in caught.value.do


def test_no_setting_of_a_deployment_leaks_into_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children see the demo's settings file alone, never the database of whoever runs the demo."""
    monkeypatch.setenv("QYTET_DATABASE__URL", "postgresql://somewhere/else")
    found = environment(Path("/x/services.toml"))
    assert {name: value for name, value in found.items() if name.startswith("QYTET_")} == {
        "QYTET_FILE": "/x/services.toml"
    }


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("case $* in *version_info*) exit 1;; esac; echo Python 3.9.2", "Python 3.11 or newer is needed"),
        (
            "case $* in *ensurepip*) exit 1;; *version_info*) exit 0;; esac; echo Python 3.11.2",
            "python3-venv",
        ),
    ],
)
def test_a_python_that_will_not_do_is_named(tmp_path: Path, program: str, said: str) -> None:
    """Too old a Python, or one without venv, is a message that says what to install."""
    checkout = tmp_path / "a checkout"
    (checkout / "scripts").mkdir(parents=True)
    (checkout / "requirements").mkdir()
    for name in ("scripts/environment.sh", "requirements/run.txt", "requirements/dev.txt", "pyproject.toml"):
        (checkout / name).write_bytes((_ROOT / name).read_bytes())
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "cksum", "cat", "head"):
        (tools / name).symlink_to(_which(name))
    (tools / "python3").write_text(f"#!/bin/sh\n{program}\n")
    (tools / "python3").chmod(0o755)
    done = subprocess.run(
        ["sh", checkout / "scripts/environment.sh", "run"],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "apt install" in done.stderr
    assert not (checkout / ".venv").exists()


def _which(name: str) -> str:
    found = shutil.which(name)
    assert found, name
    return found


def _line(device: str, wall: int) -> bytes:
    record = {"kind": "record", "device": device, "t": 1, "m": {"pm2_5": 1}, "wall": wall, "fate": "stored"}
    return json.dumps(record).encode() + b"\n"


def _stats(at: float, readings: int) -> bytes:
    tally = {"readings": readings, "records": 9, "stored": 6, "held": 3}
    return json.dumps({"at": at, **tally, "cities": {"korce": tally}}).encode() + b"\n"


def _until(condition: Callable[[], bool], seconds: float = _PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
