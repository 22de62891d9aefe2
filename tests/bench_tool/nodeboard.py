"""A simulated board with a console, for tools that talk to it, and what can go wrong on the way."""

import contextlib
import math
import os
import pty
import queue
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
    Descriptors are opened and closed in its own thread alone: a number that is closed elsewhere is soon another's.
    """

    def __init__(self, port: str, link: Path) -> None:
        self.path = str(link)
        self._link = link
        self.to_board: Meddle = bytes
        self.to_tool: Meddle = bytes
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], threading.Event]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe()
        self._far = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._far)
        self._near = self._slave = -1
        self._ends = False
        self._thread = threading.Thread(target=self._run, name="bad line")

    def __enter__(self) -> Self:
        self._thread.start()
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.vanish()
        self._ends = True
        os.write(self._wake_write, b"x")
        self._thread.join(60)
        for one in (self._far, self._wake_read, self._wake_write):
            os.close(one)

    def vanish(self) -> None:
        """The cable is out."""
        self._do(self._close)

    def come_back(self) -> None:
        """It is in again."""
        self._do(self._open)

    def _do(self, job: Callable[[], None]) -> None:
        done = threading.Event()
        self._jobs.put((job, done))
        os.write(self._wake_write, b"x")
        assert done.wait(60)

    def _open(self) -> None:
        self._near, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self._link.symlink_to(os.ttyname(self._slave))

    def _close(self) -> None:
        if self._near >= 0:
            self._link.unlink()
            os.close(self._slave)
            os.close(self._near)
            self._near = self._slave = -1

    def _run(self) -> None:
        while not self._ends:
            near = self._near
            ready, _, _ = select.select(
                [self._far, self._wake_read, *([near] if near >= 0 else [])], [], [], 10
            )
            if self._far in ready:
                data = self.to_tool(os.read(self._far, 4096))
                if near >= 0:
                    os.write(near, data)
            if near in ready:
                with contextlib.suppress(OSError):  # the tool has closed it
                    os.write(self._far, self.to_board(os.read(near, 4096)))
            if self._wake_read in ready:
                os.read(self._wake_read, 64)
                while not self._jobs.empty():
                    job, done = self._jobs.get()
                    job()
                    done.set()
