"""Runs esptool, which speaks to the ROM of a chip, as a program; reads its progress and its failures.

One reply that is lost on the wire ends a run of esptool, so whole runs are repeated, the later ones slower.
"""

import contextlib
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qytet_bench import serialport
from qytet_bench.esptool_words import WORTH_ANOTHER, EsptoolError, Kind, classified, failure, what_of

__all__ = ["CHIPS", "Chip", "Esptool", "EsptoolError", "Kind", "Region"]

CHIPS = ("esp32", "esp32s3", "esp32c3")
"""The chips that nodes are made of."""
_ATTEMPTS = 3
_SLOW_BAUD = 115200
_SILENCE_S = 180.0
"""The longest that a run may say nothing: the MD5 of 16 MB takes up to 128 s by esptool's own limit."""
_END_S = 5.0
_BACK_S = 5.0
"""A board whose supply broke down for a moment is there again by then."""
_KEPT_LINES = 40

_FAMILY = r"(ESP8266|ESP32-[SCHP]\d+|ESP32)(?=[-\s:]|EX|$)"
"""ESP32 goes on with its package (ESP32-D0WD, ESP32-U4WDH), the later ones with nothing, or a package too."""

Progress = Callable[[int, int], None]
"""Called with bytes written so far, and bytes in all."""


@dataclass(frozen=True, slots=True)
class Chip:
    """What answered: `name` as in CHIPS (or another of Espressif's), MAC address, bytes of flash (0: not known)."""

    name: str
    text: str
    mac: str
    flash_size: int


@dataclass(frozen=True, slots=True)
class Region:
    """A file and where in the flash it goes."""

    offset: int
    path: Path
    size: int


class Esptool:
    """esptool on a port. `program` is how it is started; `before_retry` hears why a run is repeated.

    `resets`: whether the port's lines can bring the chip into its loader; else a person does, by BOOT and RESET.
    """

    def __init__(
        self,
        port: str,
        baud: int = 460800,
        program: Sequence[str] = (sys.executable, "-m", "esptool"),
        before_retry: Callable[[str], None] = lambda _why: None,
        silence_s: float = _SILENCE_S,
        resets: bool = True,
    ) -> None:
        self.port, self.baud = port, baud
        self._before = "default-reset" if resets else "no-reset"
        self._program = tuple(program)
        self._before_retry = before_retry
        self._silence_s = silence_s
        self.attempts = 0
        """Runs of the last call."""

    def identify(self) -> Chip:
        """Ask the chip what it is; it stays in its ROM. Raises EsptoolError."""
        arguments = ["--chip", "auto", "--after", "no-reset", "flash-id"]
        return _chip(self._repeated(arguments, lambda _line: None, WORTH_ANOTHER - {Kind.NO_ANSWER}))

    def write(self, chip: str, regions: Sequence[Region], progress: Progress) -> None:
        """Write and verify all regions in one run, then start the program. Raises EsptoolError."""
        meter = _Meter(regions, progress)
        where = [text for region in regions for text in (hex(region.offset), str(region.path))]
        arguments = ["--chip", chip, "--after", "hard-reset", "write-flash", *where]
        self._repeated(arguments, meter.line, WORTH_ANOTHER | {Kind.NO_PORT})

    def _repeated(
        self,
        arguments: Sequence[str],
        on_line: Callable[[str], None],
        worth: Collection[Kind] = WORTH_ANOTHER,
    ) -> list[str]:
        for attempt in range(1, _ATTEMPTS + 1):
            self.attempts = attempt
            baud = self.baud if attempt < _ATTEMPTS else min(self.baud, _SLOW_BAUD)
            line = ["--port", self.port, "--baud", str(baud), "--before", self._before]
            code, lines = self._run([*line, *arguments], on_line)
            if code == 0:
                return lines
            kind = classified(lines)
            gone = kind is Kind.NO_PORT and not serialport.comes_back(
                self.port, _BACK_S if kind in worth else 0
            )
            if kind not in worth or gone or attempt == _ATTEMPTS:
                raise failure(kind, self.port, lines, attempt)
            self._before_retry(what_of(kind))
        raise AssertionError("the loop returns or raises")

    def _run(self, arguments: Sequence[str], on_line: Callable[[str], None]) -> tuple[int, list[str]]:
        lines: list[str] = []
        with _running([*self._program, *arguments]) as process:
            for line in _lines(process, self._silence_s):
                lines = [*lines[-_KEPT_LINES:], line]
                on_line(line)
            return _ended(process), lines


class _Meter:
    """Bytes written, from the addresses that esptool names while it writes."""

    _WRITING = re.compile(r"Writing at 0x([0-9a-fA-F]+)")
    _WROTE = re.compile(r"Wrote \d+ bytes .*at 0x([0-9a-fA-F]+)")

    def __init__(self, regions: Sequence[Region], progress: Progress) -> None:
        self._regions, self._progress = regions, progress
        self._total = sum(region.size for region in regions)

    def line(self, line: str) -> None:
        if found := self._WRITING.search(line):
            self._progress(self._until(int(found[1], 16)), self._total)
        elif found := self._WROTE.search(line):
            starts = {region.offset: region.size for region in self._regions}
            start = int(found[1], 16)
            self._progress(self._until(start + starts.get(start, 0)), self._total)

    def _until(self, address: int) -> int:
        return sum(max(0, min(address - region.offset, region.size)) for region in self._regions)


@contextlib.contextmanager
def _running(command: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    """The program, which does not outlive the block."""
    surroundings = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "200",
    }
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=surroundings,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_END_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def _ended(process: "subprocess.Popen[str]") -> int:
    """The exit code of a program that has said its last."""
    try:
        return process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _lines(process: "subprocess.Popen[str]", silence_s: float) -> Iterator[str]:
    """What the program says; it is ended if it says nothing for that long: some addresses know no time limit."""
    said: queue.Queue[str | None] = queue.Queue(maxsize=1000)

    def listen() -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError):  # closed, as nobody listens any more
            for line in process.stdout:
                said.put(line)
        said.put(None)

    listener = threading.Thread(target=listen, name="esptool's output", daemon=True)
    listener.start()
    while True:
        try:
            line = said.get(timeout=silence_s)
        except queue.Empty:
            process.kill()
            yield "Serial data stream stopped: nothing was said for too long."
            return
        if line is None:
            return
        if text := line.strip():
            yield text


def _chip(lines: Sequence[str]) -> Chip:
    text = "\n".join(lines)
    name = _found(
        text, rf"Connected to {_FAMILY}", rf"Detecting chip type\.\.\. {_FAMILY}", rf"Chip is {_FAMILY}"
    )
    mac = _found(text, r"(?m)^(?:BASE )?MAC:\s+([0-9a-fA-F:]{17})")
    size = re.search(r"Detected flash size:\s*(\d+)(KB|MB)", text)
    if not name or not mac:
        raise failure(Kind.UNKNOWN, "", lines, 1)
    factor = {"KB": 1024, "MB": 1024 * 1024}
    described = _found(text, r"Chip (?:type:|is)\s+(.+)") or name
    return Chip(
        name.lower().replace("-", ""), described, mac.lower(), int(size[1]) * factor[size[2]] if size else 0
    )


def _found(text: str, *patterns: str) -> str:
    return next((found[1] for pattern in patterns if (found := re.search(pattern, text))), "")
