"""What the tests of both launchers need: a folder that a server's user reaches, a parent to kill."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from qytet.embedded import EmbeddedNats, EmbeddedPostgres

_CHILD = Path(__file__).with_name("embedded_child.py")


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that other users may traverse, its name with a space and a letter beyond ASCII."""
    with tempfile.TemporaryDirectory(prefix="qytet të dhëna ") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@contextmanager
def parent_of(server: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another Python process that starts a server; read its first line, then kill it."""
    with subprocess.Popen(
        [sys.executable, str(_CHILD), server, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def is_gone(pid: int, within: float) -> bool:
    """Whether the process ends within so many seconds."""
    deadline = time.monotonic() + within
    while True:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def crash(server: EmbeddedPostgres | EmbeddedNats) -> None:
    """SIGKILL the server behind its launcher's back."""
    assert server.pid is not None
    psutil.Process(server.pid).kill()
    deadline = time.monotonic() + 60
    while server.returncode is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
