"""Runs the real esptool on a port, as a technician's bench does."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_QUICK = Path(__file__).parent / "quick"
_SETTINGS = (
    "[esptool]\ntimeout = {limit}\nerase_write_timeout_per_mb = {limit}\nconnect_attempts = {attempts}\n"
)


class Done(NamedTuple):
    """How a run ended."""

    code: int
    said: str


class Esptool:
    """`folder` keeps its settings: how long it waits for an answer, how often it tries to find board and port."""

    def __init__(self, folder: Path, limit_s: float = 5.0, attempts: int = 7) -> None:
        self._settings = folder / "esptool.cfg"
        self._settings.write_text(_SETTINGS.format(limit=limit_s, attempts=attempts))

    def run(self, port: str, *words: str, before: str | None = None) -> Done:
        """Its exit code and everything it said. `before` as its option of that name."""
        if before is None:
            before = "default-reset" if "://" in port else "no-reset"
        done = subprocess.run(
            [sys.executable, "-m", "esptool", "--port", port, "--before", before, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
            check=False,
            env={
                **os.environ,
                "ESPTOOL_CFGFILE": str(self._settings),
                "PYTHONPATH": str(_QUICK),
                "COLUMNS": "300",
                "TERM": "dumb",
            },
        )
        return Done(done.returncode, done.stdout)

    def works(self, port: str, *words: str, before: str | None = None) -> str:
        """What it said; fails the test if it failed."""
        done = self.run(port, *words, before=before)
        assert done.code == 0, done.said
        return done.said


def pieces(*written: tuple[int, Path]) -> Iterator[str]:
    """Addresses and files as write-flash wants them."""
    for address, path in written:
        yield hex(address)
        yield str(path)


def image(size: int) -> bytes:
    """Something that begins as an image does and compresses to about half, so that it takes several blocks."""
    begin = hashlib.sha256(b"qytet").digest()
    text = b"".join(
        hashlib.sha256(begin + bytes([at & 255, at >> 8])).hexdigest().encode() for at in range(size // 64)
    )
    return b"\xe9" + text[1:]
