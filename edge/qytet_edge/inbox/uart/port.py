"""A serial port in a thread of its own, so that a driver that hangs holds up nobody else."""

import asyncio
import contextlib
import errno
import termios
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import serial

from qytet import log

__all__ = ["Port"]

_log = log.get("edge.uart")
_WRITE_S = 2.0
_CLOSE_S = 3.0
_HELD = 64 * 1024
"""Bytes kept for a reader that is not there: more than a minute at 9600 baud."""


_WORDS = {
    errno.ENOENT: "there is no port {}: the adapter is unplugged or bears another name",
    errno.EACCES: "{} may not be opened: the gateway's user must be in the group dialout",
    errno.EPERM: "{} may not be opened: the gateway's user must be in the group dialout",
    errno.EAGAIN: "{} is in use by another program",
    errno.EBUSY: "{} is in use by another program",
    errno.EIO: "{} is gone: the adapter was unplugged",
}


_GONE = "returned no data"
"""How pyserial, in a sentence without a number, tells of a port that hung up."""


class Port:
    """An open serial port, 8N1, locked against others; an async context manager for one task.

    Entering and `read` raise OSError (serial.SerialException is one): absent, busy, forbidden, unplugged.
    """

    def __init__(self, path: str, baud: int) -> None:
        self._path = path
        self._baud = baud
        self._in: deque[bytes] = deque()
        self._held = 0
        self._out: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._link: serial.Serial | None = None  # under the lock: closing takes away what nudging needs
        self._stop = False
        self._error: OSError | None = None
        self.lost = 0
        """Bytes given up because nobody read them."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._news = asyncio.Event()
        threading.Thread(target=self._work, name=f"serial {self._path}", daemon=True).start()
        try:
            await asyncio.shield(self._opened)
        except BaseException:
            self._opened.cancel()
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    def send(self, data: bytes) -> None:
        """Write soon, in order; a fault shows at the next `read`."""
        self._out.append(data)
        self._nudge()

    async def read(self) -> bytes:
        """Wait for bytes; what came before a fault is given out before the fault is raised."""
        while not self._in:
            if self._ended.is_set():
                raise self._error or OSError(f"{self._path} was closed")
            await self._news.wait()
            self._news.clear()
        data = b"".join(self._in)
        self._in.clear()
        self._held = 0
        return data

    async def _close(self) -> None:
        self._stop = True
        self._nudge()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._ended.wait()
        except TimeoutError:  # a daemon thread: it holds its file, but not the program's end
            _log.error("the serial port's driver does not return", port=self._path)

    def _nudge(self) -> None:
        """Make the thread look up from reading."""
        with self._lock:
            if self._link is not None:
                self._link.cancel_read()

    def _work(self) -> None:
        try:
            self._converse()
        except OSError as error:
            self._error = _in_words(self._path, error)
        # pyserial lets these through from a vanished port.
        except (termios.error, TypeError, ValueError) as error:
            self._error = OSError(f"{self._path}: {error}")
        finally:
            self._tell(self._end)

    def _converse(self) -> None:
        link = serial.Serial(self._path, self._baud, write_timeout=_WRITE_S, exclusive=True)
        try:
            with self._lock:
                self._link = link
            self._tell(self._open)
            while True:
                while self._out:
                    link.write(self._out.popleft())
                if self._stop:
                    return
                if first := link.read(1):
                    self._tell(self._take, first + link.read(link.in_waiting))
        finally:
            with self._lock:
                self._link = None
            link.close()

    def _tell(self, what: Callable[..., None], *facts: object) -> None:
        """Call back on the loop; it may be gone if the program ends while a driver hangs."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *facts)

    def _open(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _take(self, data: bytes) -> None:
        self._in.append(data)
        self._held += len(data)
        while self._held > _HELD:
            gone = len(self._in.popleft())
            self._held -= gone
            self.lost += gone
        self._news.set()

    def _end(self) -> None:
        if not self._opened.done():
            self._opened.set_exception(self._error or OSError(f"{self._path} was closed"))
        self._ended.set()
        self._news.set()


def _in_words(path: str, error: OSError) -> OSError:
    """The same fault as a technician would say it; its number stays."""
    number = errno.EIO if _GONE in str(error) else error.errno
    if number is None and isinstance(error.__context__, OSError):
        number = error.__context__.errno  # pyserial's own "write failed" has it in words only
    words = _WORDS.get(number or 0)
    if words is None:
        return error
    said = OSError(words.format(path))
    said.errno = number
    return said
