"""A gateway as a process of its own that is killed, and started again as systemd would."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from qytet.errors import ServerError
from qytet_edge import status

__all__ = ["GatewayProcess", "Life"]

SAMPLE_S = 0.25


@dataclass
class Life:
    """One process: how long it lived (s) and its memory (MB): a second after its start, at the end, at most."""

    began: float
    ended: float = 0.0
    first_mb: float = 0.0
    last_mb: float = 0.0
    most_mb: float = 0.0


class GatewayProcess:
    """`qytet edge run`, kept running: whoever ends it, it comes back, until `stop`. A context manager."""

    def __init__(self, config: Path, data_dir: Path, log: Path) -> None:
        self.data_dir = data_dir
        self.log = log
        self.lives: list[Life] = []
        self.exits: list[int] = []
        """Exit codes of processes that ended without being killed."""
        self._config = config
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._killed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher = threading.Thread(target=self._watch, name="gateway", daemon=True)

    def __enter__(self) -> Self:
        self._start()
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._watcher.join(90)
        with self._guard:
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
            if self._process is not None:
                self._process.wait(90)

    def kill(self) -> None:
        """SIGKILL; it comes back."""
        with self._guard:
            assert self._process is not None
            self._killed = True
            self._process.kill()
            self._process.wait(90)

    def stop(self, seconds: float = 90) -> int:
        """SIGTERM, and no coming back; returns the exit code."""
        self._stopping.set()
        self._watcher.join(90)
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(seconds)

    def state(self) -> dict[str, Any] | None:
        """Its own account; None while it does not answer."""
        try:
            return status.ask(self.data_dir)
        except ServerError:
            return None

    def wait(self, condition: Any, what: str, seconds: float) -> dict[str, Any]:
        """Its state as soon as it fulfils the condition."""
        deadline = time.monotonic() + seconds
        seen = None
        while time.monotonic() < deadline:
            seen = self.state() or seen
            if seen is not None and condition(seen):
                return seen
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds} s: {what}; last seen: {seen}; {self.tail()}")

    def tail(self, size: int = 4000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-size:]

    def _start(self) -> None:
        command = [sys.executable, "-m", "qytet", "edge", "run", "--config", str(self._config)]
        environment = {**os.environ, "QYTET_LOG__FORMAT": "json"}
        with self.log.open("ab") as file:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment,
                cwd=self.log.parent,
            )
        self.lives.append(Life(time.monotonic()))

    def _watch(self) -> None:
        """Start it again when it has ended; note its memory."""
        while not self._stopping.wait(SAMPLE_S):
            with self._guard:
                assert self._process is not None
                code = self._process.poll()
                if code is None:
                    self._measure(self._process.pid, self.lives[-1])
                    continue
                if not self._killed:
                    self.exits.append(code)
                self._killed = False
                self._start()

    @staticmethod
    def _measure(pid: int, life: Life) -> None:
        try:
            mb = psutil.Process(pid).memory_info().rss / 1e6
        except psutil.Error:
            return
        life.ended = time.monotonic()
        if not life.first_mb and life.ended - life.began > 2:
            life.first_mb = mb
        life.last_mb, life.most_mb = mb, max(life.most_mb, mb)
