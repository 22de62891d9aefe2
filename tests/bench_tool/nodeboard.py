"""A simulated board with a console, for tools that talk to it, and what can go wrong on the way."""

import contextlib
import math
import os
import pty
import select
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from tests.hardware.bench import filesystem, install

__all__ = ["BadLine", "board", "content"]

Meddle = Callable[[bytes], bytes]


@contextlib.contextmanager
def board(
    folder: Path,
    files: dict[str, str] | None = None,
    *,
    size: int = 0x400000,
    speed: float = math.inf,
) -> Iterator[tuple[Board, FlashFile]]:
    """A board that runs these files (blank flash without), with power."""
    with FlashFile(folder / "flash.bin", size) as flash:
        if files is not None:
            install(flash, files)
        with Board(flash, speed=speed) as made:
            made.power_on()
            yield made, flash


def content(made: Board, flash: FlashFile) -> dict[str, bytes]:
    """The board's files by path, once it is off."""
    made.power_cut()
    flash.restore()
    found = {}
    with filesystem(flash) as there:
        for folder, _, names in there.walk("/"):
            for name in names:
                path = f"{folder.rstrip('/')}/{name}"
                with there.open(path, "rb") as file:
                    found[path] = file.read()
    return found


class BadLine:
    """A pseudo-terminal between a tool and a port; `to_board` and `to_tool` may change, drop or add what passes.

    `vanish` takes the port away, as a pulled cable does; `come_back` gives it again under the same name (a link).
    """

    def __init__(self, port: str, link: Path) -> None:
        self.path = str(link)
        self._port, self._link = port, link
        self.to_board: Meddle = bytes
        self.to_tool: Meddle = bytes
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()
        self._far = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._far)
        self._near = self._slave = -1
        self.come_back()
        self._thread = threading.Thread(target=self._run, name="bad line")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        os.write(self._wake_write, b"x")
        self._thread.join(10)
        self.vanish()
        for one in (self._far, self._wake_read, self._wake_write):
            os.close(one)

    def vanish(self) -> None:
        """The cable is out."""
        with self._lock:
            near, self._near = self._near, -1
            if near >= 0:
                self._link.unlink(missing_ok=True)
                os.close(self._slave)
                os.close(near)

    def come_back(self) -> None:
        """It is in again."""
        with self._lock:
            self._near, self._slave = pty.openpty()
            tty.setraw(self._slave)
            self._link.symlink_to(os.ttyname(self._slave))
        with contextlib.suppress(AttributeError):
            os.write(self._wake_write, b"x")

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                near = self._near
            watched = [self._far, self._wake_read] + ([near] if near >= 0 else [])
            ready, _, _ = select.select(watched, [], [], 0.05)
            if self._wake_read in ready:
                os.read(self._wake_read, 64)
            with contextlib.suppress(OSError):
                if self._far in ready:
                    self._pass(self._far, lambda: self._near, lambda data: self.to_tool(data))
                if near in ready and near >= 0:
                    self._pass(near, lambda: self._far, lambda data: self.to_board(data))

    def _pass(self, source: int, target: Callable[[], int], meddle: Meddle) -> None:
        data = meddle(os.read(source, 4096))
        with self._lock:
            if data and target() >= 0:
                os.write(target(), data)
