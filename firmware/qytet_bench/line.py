"""A serial line to a board: opened without resetting it, read up to a deadline, found again after it has vanished.

QytetError
└── BoardError        something went wrong with the board on the cable
    ├── LineGoneError     the port has vanished: a pulled cable, or a reset of a chip with USB of its own
    ├── SilentError       nothing, or nothing that makes sense, came in time
    ├── RestartedError    the board began anew in the middle
    └── BoardCodeError    what was run on the board failed there
"""

import errno
import os
import sys
import time
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import serial
from serial.tools import list_ports

from qytet.errors import QytetError
from qytet_bench import serialport

__all__ = [
    "BAUDRATE",
    "BoardCodeError",
    "BoardError",
    "Line",
    "LineGoneError",
    "RestartedError",
    "SilentError",
]

BAUDRATE = 115200
"""Of MicroPython's console and of the ROM's messages on ESP32."""
_SLICE_S = 0.1
_WRITE_S = 5.0
_AGAIN_S = 0.2
_BUSY_S = 2.0
_PULSE_S = 0.1
"""How long EN is held low; esptool holds it as long."""
_NO_SUCH_LINES = (errno.ENOTTY, errno.EINVAL)
"""What a pseudo-terminal says when its RTS is to be set."""


class BoardError(QytetError):
    """Something went wrong with the board on the cable."""


class LineGoneError(BoardError):
    """The port has vanished."""


class SilentError(BoardError):
    """Nothing, or nothing that makes sense, came in time."""


class RestartedError(BoardError):
    """The board began anew in the middle."""


class BoardCodeError(BoardError):
    """What was run on the board failed there; `traceback` is what it said."""

    def __init__(self, what: str, traceback: str, *, do: str = "") -> None:
        super().__init__(what, why=traceback.strip().rpartition("\n")[2], do=do)
        self.traceback = traceback


class Line:
    """A context manager; `url` is a port, a pseudo-terminal, `rfc2217://host:port` or `socket://host:port`.

    Raises QytetError if it cannot be opened.
    """

    def __init__(self, url: str, baudrate: int = BAUDRATE) -> None:
        self.url, self._baudrate = url, baudrate
        self._same = _hardware_of(url)
        self._port = self._open_patiently()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, until: float) -> bytes:
        """What has come, once anything has; b"" if nothing came before `until` (`time.monotonic`).

        Raises LineGoneError.
        """
        try:
            while True:
                data: bytes = self._port.read(max(self._port.in_waiting, 1))
                if data:
                    return data
                if time.monotonic() >= until:  # a process that stood still meanwhile finds what has come
                    return bytes(self._port.read(left)) if (left := self._port.in_waiting) else b""
        except (OSError, TypeError) as error:  # TypeError: pyserial, when it is closed underneath
            raise self._gone(error) from error

    @property
    def waiting(self) -> int:
        """Bytes that have come and not been read. Raises LineGoneError."""
        try:
            return int(self._port.in_waiting)
        except (OSError, TypeError) as error:
            raise self._gone(error) from error

    def write(self, data: bytes) -> None:
        """All of it. Raises LineGoneError, or SilentError if the board takes nothing for five seconds."""
        try:
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise SilentError(
                f"The board at {self.url} takes nothing in.",
                why="Its USB hangs, or nothing runs on it.",
                do="Press its reset button (EN or RST), or plug it in again.",
            ) from error
        except (OSError, TypeError) as error:
            raise self._gone(error) from error

    def reset(self) -> None:
        """Pulse EN through the lines that USB adapters have for it; a line without them just stays as it is.

        RTS alone pulls EN down, DTR alone pulls GPIO0 down, both together nothing (the boards' two transistors).
        """
        try:
            self._port.dtr = False
            self._port.rts = True
            time.sleep(_PULSE_S)
            self._port.rts = False
            time.sleep(_PULSE_S)  # GPIO0 is looked at when EN rises
            self._port.dtr = True
            self._port.rts = True
        except (OSError, TypeError) as error:
            if getattr(error, "errno", None) not in _NO_SUCH_LINES:
                raise self._gone(error) from error

    def reopen(self, deadline_s: float, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        """Wait until the port is there again, also under another name, and open it. Raises LineGoneError."""
        self.close()
        end = time.monotonic() + deadline_s
        while not is_cancelled():
            try:
                self.url = _now_called(self.url, self._same)
                self._port = self._open()
            except QytetError:
                if time.monotonic() >= end:
                    break
                time.sleep(_AGAIN_S)  # no system tells all programs of a new port in one way
            else:
                return
        raise LineGoneError(
            f"{self.url} has not come back.",
            why="The cable is out, the board has no power, or its USB is held by another program.",
            do="Plug the board in again and repeat the command; what was done is kept.",
        )

    def close(self) -> None:
        """Let go of the port; RTS before DTR, as the other order resets the board."""
        try:
            if self._port.is_open:
                self._port.rts = False
                self._port.dtr = False
        except (OSError, TypeError):
            pass  # it has vanished, and its lines with it
        try:
            self._port.close()
        except OSError:
            pass

    # ---- inside

    def _open_patiently(self) -> Any:
        """A port that has just appeared is looked at by others too: ModemManager, an editor that lists boards."""
        end = time.monotonic() + _BUSY_S
        while True:
            try:
                return self._open()
            except BoardError:
                raise
            except QytetError:
                if time.monotonic() >= end:
                    raise
                time.sleep(_AGAIN_S)

    def _open(self) -> Any:
        local = "://" not in self.url
        options: dict[str, Any] = {"write_timeout": _WRITE_S} if local else {}  # RFC 2217 knows none
        if local and os.name == "posix":
            options["exclusive"] = True
        try:
            port = serial.serial_for_url(
                self.url,
                do_not_open=True,
                baudrate=self._baudrate,
                timeout=_SLICE_S,
                **options,
            )
            if sys.platform == "win32" and local:
                port.dtr = port.rts = False  # some drivers raise one after the other, which is a reset
            with warnings.catch_warnings():  # pyserial's RFC 2217 names its thread the old way
                warnings.simplefilter("ignore", DeprecationWarning)
                port.open()
            if sys.platform == "win32" and local:
                port.dtr = True
                port.rts = True
        except (OSError, ValueError) as error:
            raise _not_opened(self.url, error) from error
        return port

    def _gone(self, error: BaseException) -> LineGoneError:
        return LineGoneError(
            f"The line {self.url} has gone.",
            why=str(error) or type(error).__name__,
            do="Look after the cable, and repeat the command; what was done is kept.",
        )


def _hardware_of(url: str) -> tuple[object, ...] | None:
    """What tells an adapter from others, whatever its port is called; None if it cannot be told."""
    for port in list_ports.comports() if "://" not in url else ():
        if port.device == url and port.vid is not None:
            return port.vid, port.pid, port.serial_number, None if port.serial_number else port.location
    return None


def _now_called(url: str, same: tuple[object, ...] | None) -> str:
    """The present name of the port that was `url`: a system may number it anew when it is plugged in again."""
    if same is None:
        return url
    names = [port.device for port in list_ports.comports() if _hardware_of(port.device) == same]
    return url if url in names or len(names) != 1 else str(names[0])


def _not_opened(url: str, error: BaseException) -> QytetError:
    words = str(error)
    if "Permission" in words or "Access is denied" in words:
        return serialport.refused(url)
    if "exclusively lock" in words or "busy" in words:
        return serialport.busy(url, serialport.holders(url))
    return BoardError(
        f"The port {url} cannot be opened.",
        why=words,
        do="See `qytet bench ports`, and give the board's by --port.",
    )
