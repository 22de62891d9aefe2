"""How hosts reach the line: a pseudo-terminal, and a TCP port that speaks RFC 2217 (baud rate, DTR and RTS)."""

import contextlib
import os
import socket
import struct
import termios
import tty
from typing import Any, cast

from serial.rfc2217 import IAC, PortManager

from qytet_simulators.hardware.loop import Loop
from qytet_simulators.hardware.rom.line import Line

__all__ = ["Pty", "Rfc2217", "reserved"]

_MOST_UNSENT = 1 << 16
"""Bytes that wait for a host; a loader's answers never come near it, a program that talks without end does."""
_READ, _WRITE = 1, 2


class Pty:
    """A pseudo-terminal: no control lines, any speed. Made, used and closed in the bench's thread."""

    def __init__(self, loop: Loop, line: Line) -> None:
        self._loop, self._line = loop, line
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._ends = line.listen(self._show)
        loop.watch(self._master, self._typed)

    def close(self) -> None:
        """The port vanishes."""
        self._ends()
        self._loop.forget(self._master)
        for end in (self._master, self._slave):
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
            self._line.hear(os.read(self._master, 1 << 16))


class _Settings:
    """The port as pyserial's PortManager wants to see it: what the host sets goes to the line at once."""

    bytesize, parity, stopbits, xonxoff, rtscts = 8, "N", 1, False, False
    cts = dsr = cd = True
    ri = break_condition = False

    def __init__(self, line: Line, client: "_Client") -> None:
        self._line, self._client = line, client
        self._baudrate = 115200

    @property
    def baudrate(self) -> int:
        """The host's speed."""
        return self._baudrate

    @baudrate.setter
    def baudrate(self, baud: int) -> None:
        self._client.pass_on()
        self._baudrate = self._line.host_baud = baud

    @property
    def dtr(self) -> bool:
        """As the host has it."""
        return self._line.dtr

    @dtr.setter
    def dtr(self, asserted: bool) -> None:
        self._client.pass_on()
        self._line.set_signals(dtr=asserted)

    @property
    def rts(self) -> bool:
        """As the host has it."""
        return self._line.rts

    @rts.setter
    def rts(self, asserted: bool) -> None:
        self._client.pass_on()
        self._line.set_signals(rts=asserted)

    def reset_input_buffer(self) -> None:
        """What the board has said lies in the host's buffer already."""

    def reset_output_buffer(self) -> None:
        """What the host has said is with the board already."""


class _Client:
    """One host that has the port open."""

    def __init__(self, loop: Loop, line: Line, connection: socket.socket) -> None:
        self._loop, self._line, self._connection = loop, line, connection
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_UNSENT)
        self.is_open = True
        self._unsent = bytearray()
        self._heard = bytearray()
        loop.watch(connection, self._ready)
        # it asks for less than a whole Serial and socket, but its types do not say so
        self._telnet = PortManager(cast("Any", _Settings(line, self)), cast("Any", self))
        self._ends = line.listen(self._show)

    def close(self) -> None:
        """The host lets go of the port, and so of its control lines."""
        if self.is_open:
            self.is_open = False
            self._ends()
            self._loop.forget(self._connection)
            self._connection.close()
            self._line.set_signals(dtr=False, rts=False)
            self._line.host_baud = None

    def write(self, data: bytes) -> None:
        """Telnet to the host, now or when it takes it."""
        self._unsent += data
        self._send()

    def _show(self, data: bytes) -> None:
        """What the board says; where the host is too slow it is lost, as in a USB converter."""
        if len(self._unsent) < _MOST_UNSENT:
            self.write(data.replace(IAC, IAC + IAC))

    def pass_on(self) -> None:
        """Give the line what came before a change of its settings."""
        heard, self._heard = bytes(self._heard), bytearray()
        self._line.hear(heard)

    def _ready(self, mask: int) -> None:
        if mask & _WRITE:
            self._send()
        if mask & _READ and self.is_open:
            self._receive()

    def is_there(self) -> bool:
        """Whether the host has not gone; takes in what it has said last."""
        while self.is_open and self._receive():
            pass
        return self.is_open

    def _receive(self) -> bool:
        """Whether there was something."""
        try:
            data = self._connection.recv(1 << 16)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        try:
            for byte in self._telnet.filter(data):
                self._heard += byte
        except (KeyError, TypeError, ValueError, struct.error):  # pyserial's answers to telnet that is none
            self.close()
        if self.is_open:
            self.pass_on()
        return True

    def _send(self) -> None:
        if not self.is_open:
            return
        try:
            while self._unsent:
                del self._unsent[: self._connection.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()  # reading will tell that it is gone
        self._loop.watch(self._connection, self._ready, write=bool(self._unsent))


def reserved() -> socket.socket:
    """A loopback TCP port on which nobody listens yet, kept from others: for one `Rfc2217` after the other."""
    place = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return place


class Rfc2217:
    """A serial port on a loopback TCP port, for one host at a time. Lives in the bench's thread."""

    def __init__(self, loop: Loop, line: Line, place: socket.socket) -> None:
        self._loop, self._line = loop, line
        self._listener = socket.create_server(place.getsockname(), backlog=4)  # reuses it as `place` allows
        self._listener.setblocking(False)
        self._client: _Client | None = None
        loop.watch(self._listener, self._accept)

    def close(self) -> None:
        """The port vanishes."""
        self._loop.forget(self._listener)
        self._listener.close()
        if self._client is not None:
            self._client.close()

    def _accept(self, _: int) -> None:
        with contextlib.suppress(OSError):
            connection, _address = self._listener.accept()
            if self._client is not None and self._client.is_there():
                connection.close()  # the port is busy
            else:
                self._client = _Client(self._loop, self._line, connection)
