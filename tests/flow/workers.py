"""Ingest workers as processes of their own, that tests start, kill and stop."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from qytet.embedded.ports import free_port

__all__ = ["Worker"]


class Worker:
    """`qytet ingest run` on a database and a broker; a context manager that stops it in order."""

    def __init__(
        self, database_url: str, broker_url: str, folder: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.log = folder / f"ingest-{self.port}.log"
        self._environment = {
            **os.environ,
            "QYTET_DATABASE__URL": database_url,
            "QYTET_BROKER__URL": broker_url,
            "QYTET_INGEST__HTTP_PORT": str(self.port),
            "QYTET_LOG__FORMAT": "json",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = folder

    def __enter__(self) -> Self:
        try:
            return self.start().wait_ready()
        except BaseException:
            self.kill()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    @property
    def pid(self) -> int:
        """The process; raises if it does not run."""
        assert self._process is not None, "the worker does not run"
        return self._process.pid

    def start(self) -> Self:
        """Start the process; returns at once."""
        command = [sys.executable, "-m", "qytet", "ingest", "run"]
        with self.log.open("ab") as file:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=file, stderr=file, cwd=self._folder
            )
        return self

    def wait_ready(self, seconds: float = 60) -> Self:
        """Wait until broker and database are connected."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, f"the worker ended: {self.log.read_text()[-3000:]}"
            if self.get("/ready")[0] == 200:
                return self
            time.sleep(0.05)
        raise AssertionError(f"the worker did not become ready: {self.log.read_text()[-3000:]}")

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages; 0 if nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """The sum of a figure over its labels; a worker that is slow to answer is asked again."""
        deadline = time.monotonic() + 60
        while (answer := self.get("/metrics"))[0] != 200:
            assert time.monotonic() < deadline, f"the worker does not answer: {self.log.read_text()[-3000:]}"
            time.sleep(0.05)
        families = text_string_to_metric_families(answer[1])
        return sum(s.value for family in families for s in family.samples if s.name == f"qytet_ingest_{name}")

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM; it must end in order and in time."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            assert self._process.wait(60) == 0, f"the worker failed: {self.log.read_text()[-3000:]}"
        finally:
            self.kill()
