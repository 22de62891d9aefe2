"""The API as its own process, started by its command, on a free port."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Served", "serve"]


class Served:
    """A running `qytet api serve`; `url` has no slash at its end."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process = process
        self.url = url

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.url.rsplit(":", 1)[1])

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=20)

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.wait(timeout=20)


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
