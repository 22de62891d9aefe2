"""The API as its own process, started by its command, on a free port."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

__all__ = ["PATIENCE_S", "Served", "serve"]

PATIENCE_S = 60.0
"""What a test waits for a process, or for an answer over a socket, before it gives up."""


class Served:
    """A running `qytet api serve`; `url` has no slash at its end."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process = process
        self.url = url

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.url.rsplit(":", 1)[1])

    def await_ready(self) -> None:
        """Return when it has a connection to its database; each question waits 3 s for one by itself."""
        deadline = time.monotonic() + PATIENCE_S
        while httpx.get(f"{self.url}/v1/ready", timeout=PATIENCE_S).json() != {"status": "ready"}:
            assert time.monotonic() < deadline, "no connection to the database"

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.wait(PATIENCE_S)


def start(database: str, port: int, folder: Path) -> "subprocess.Popen[str]":
    """Start the command; its settings come from the environment alone."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("QYTET_")},
        "QYTET_DATABASE__URL": database,
        "QYTET_LOG__FORMAT": "json",
    }
    command = [sys.executable, "-m", "qytet", "api", "serve", "--port", str(port), "--json"]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@contextlib.contextmanager
def serve(database: str, folder: Path, port: int = 0) -> Iterator[Served]:
    """A running API; ended at the end however the test went."""
    with start(database, port, folder) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            yield Served(process, json.loads(line)["url"].rstrip("/"))
        finally:
            if process.poll() is None:
                process.kill()
