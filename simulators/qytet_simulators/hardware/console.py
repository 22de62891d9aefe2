"""The board's serial console: a pseudo-terminal that outlives every reset, and whoever else listens."""

import contextlib
import os
import termios
import threading
import time
import tty
from collections.abc import Callable

from qytet_simulators.hardware.loop import Loop

__all__ = ["Console"]

_KEPT = 1 << 18


class Console:
    """`path` is the port; `on_input(data)` gets what is typed there or `feed`; `on_line(text)` each whole line said."""

    def __init__(self, loop: Loop, on_input: Callable[[bytes], None], on_line: Callable[[str], None]) -> None:
        self._loop, self._on_input, self._on_line = loop, on_input, on_line
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._listeners: list[Callable[[bytes], None]] = []
        self._said = bytearray()
        self._line = bytearray()
        self._news = threading.Condition()
        self._failure: BaseException | None = None
        loop.watch(self._master, self._typed)

    @property
    def text(self) -> str:
        """What the board has said, the last of it."""
        with self._news:
            return self._said.decode(errors="replace")

    def wait_for(self, text: str, deadline_s: float = 60.0, since: int = 0) -> str:
        """Everything said (from the `since`-th character of `text` on), once it has `text`. Raises TimeoutError."""
        end = time.monotonic() + deadline_s
        with self._news:
            while text not in (said := self._said.decode(errors="replace")[since:]):
                if self._failure is not None:
                    raise RuntimeError("the bench has ended") from self._failure
                if not self._news.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise TimeoutError(
                        f"the console did not say {text!r} within {deadline_s} s, but:\n{said[-2000:]}"
                    )
            return said

    def fail(self, error: BaseException) -> None:
        """Nothing will be said any more: whoever waits is told so."""
        with self._news:
            self._failure = error
            self._news.notify_all()

    def listen(self, listener: Callable[[bytes], None]) -> None:
        """Also give everything that is said to `listener`, in the bench's thread."""
        self._listeners.append(listener)

    def feed(self, data: bytes) -> None:
        """Type."""
        self._loop.call(lambda: self._on_input(data))

    def say(self, data: bytes) -> None:
        """The board says this."""
        with self._news:
            self._said += data
            del self._said[:-_KEPT]
            self._news.notify_all()
        for listener in self._listeners:
            listener(data)
        self._show(data)
        self._line += data
        while b"\n" in self._line:
            line, _, rest = bytes(self._line).partition(b"\n")
            self._line = bytearray(rest)
            self._on_line(line.decode(errors="replace").rstrip("\r"))
        del self._line[:-4096]

    def close(self) -> None:
        """The port vanishes."""
        self._loop.forget(self._master)
        for end in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(end)

    def _show(self, data: bytes) -> None:
        """Onto the port; where nobody reads, the oldest is lost, as in a USB converter."""
        while data:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                termios.tcflush(self._slave, termios.TCIFLUSH)

    def _typed(self, _: int) -> None:
        with contextlib.suppress(OSError):
            self._on_input(os.read(self._master, 4096))
