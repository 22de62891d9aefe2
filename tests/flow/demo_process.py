"""`qytet demo run` as a child process of a test, and who of its processes is still there."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import psutil

from qytet.demo.folder import DemoFolder
from qytet.demo.growing import whole_lines

SMALL = ("--devices", "9", "--interval", "1")
_START_S = 120.0
_STOP_S = 120.0


class DemoProcess:
    """A demo on a data folder; a context manager that leaves no process behind, whatever the test does."""

    def __init__(self, root: Path, *options: str) -> None:
        self.folder = DemoFolder(root)
        self.folder.root.mkdir(exist_ok=True)
        self._out = (root.parent / f"{root.name}.out").open("wb+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qytet", "demo", "run", "--json", *options],
            env=environment(root),
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for one in left_behind(self.folder.root):
            one.kill()
        self._out.close()

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return Path(self._out.name).read_text(encoding="utf-8")

    @property
    def url(self) -> str:
        """Where its API is."""
        return str(self.folder.state()["url"])

    def await_up(self) -> None:
        """Return when it has said where to look."""
        self.await_word("Look at")

    def await_word(self, word: str) -> None:
        """Return when it has printed that."""
        self._await(lambda: word in self.output, word)

    def await_stored(self, readings: int) -> None:
        """Return when the simulators say that so many readings were accepted, and some records marked."""
        self._await(lambda: self._figures() >= readings, f"{readings} readings")

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(_STOP_S)

    def summary(self) -> dict[str, Any]:
        """The file of its account."""
        found: dict[str, Any] = json.loads(self.folder.summary.read_text(encoding="utf-8"))
        return found

    def _figures(self) -> int:
        last = newest(self.folder.stats)
        return int(last["readings"]) if last.get("stored") else 0

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _START_S
        while not condition():
            assert self.process.poll() is None, f"it ended while waiting for {what}:\n{self.output}"
            assert time.monotonic() < deadline, f"waited {_START_S} s for {what}:\n{self.output}"
            time.sleep(0.05)


def newest(stats: Path) -> dict[str, Any]:
    """The last whole line of a file that the simulators are writing; empty before there is one."""
    if not stats.exists():
        return {}
    with stats.open("rb") as file:
        lines = whole_lines(file)
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return found


def environment(root: Path) -> dict[str, str]:
    """Ours, but with that data folder and without other settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QYTET_")}
    return kept | {"QYTET_DATA_DIR": str(root), "PYTHONUNBUFFERED": "1"}


def left_behind(root: Path) -> list[psutil.Process]:
    """Processes whose command line or settings name the data folder."""
    return [one for one in psutil.process_iter() if one.pid != os.getpid() and _names(one, str(root))]


def await_none_left(root: Path, seconds: float) -> None:
    """Return when no process of the demo is left; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while found := left_behind(root):
        assert time.monotonic() < deadline, f"left behind: {[one.cmdline() for one in found]}"
        time.sleep(0.05)


def _names(process: psutil.Process, root: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        words: Iterator[str] = iter([*process.cmdline(), *process.environ().values()])
        return any(word == root or word.startswith(f"{root}/") for word in words)
    except psutil.Error:
        return False
