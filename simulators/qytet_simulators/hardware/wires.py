"""Connections of the board: local sockets that stand for servers, and what is on its way to them and back."""

import contextlib
import secrets
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qytet_simulators.hardware.loop import Loop
from qytet_simulators.hardware.wall import Wall

__all__ = ["Door", "Network", "Pace", "Wire", "new_name"]

_HELD = 1 << 16
"""Bytes held for a peer that does not read."""
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing says RST
_ACKNOWLEDGEMENTS = frozenset((4, 25, 26, 33))
"""Sizes of a lone MQTT PUBACK: bare, and in TLS 1.2 with ChaCha20, TLS 1.3, TLS 1.2 with GCM. Nobody answers it."""

_UNREAD = 10
"""How many times more patience there is with a server that has not had its turn to read, or will never read."""
_ANSWER = 40
"""Bytes up to which what comes in is taken for an answer: CONNACK, PUBACK, SUBACK and PINGRESP, also in TLS."""


@dataclass
class Pace:
    """Real seconds for which time goes no faster than on the wall."""

    patience_s: float = 1.0
    """After the board has sent something that may be answered; ten times that if the server has not read it yet."""
    doubt_s: float = 0.1
    """After something long has come in: it may be the answer, or a message that overtook it."""
    linger_s: float = 0.02
    """After something short has come in: that was the answer."""


class Network(Protocol):
    """What a connection lies in."""

    link: bool
    pace: Pace
    wall: Wall

    def carried(self, up: int, down: int) -> None:
        """So many bytes have gone to the server and to the board."""

    def gone(self, wire: "Wire") -> None:
        """It has ended."""


def new_name() -> bytes:
    """A name for a local socket that is in no file system (Linux, unix(7): abstract sockets)."""
    return b"\0qytet-" + secrets.token_hex(8).encode()


class Door:
    """A local socket that stands for a server; shut, it refuses."""

    def __init__(
        self, loop: Loop, target: tuple[str, int], enter: Callable[[socket.socket, tuple[str, int]], None]
    ) -> None:
        self._loop, self._target, self._enter = loop, target, enter
        self.name = new_name()
        """Where the board connects to."""
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Take connections."""
        if self._listener is None:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(self.name)
            self._listener.listen(16)
            self._listener.setblocking(False)
            self._loop.watch(self._listener, self._take)

    def shut(self) -> None:
        """Refuse them."""
        if self._listener is not None:
            self._loop.forget(self._listener)
            self._listener.close()
            self._listener = None

    def _take(self, _: int) -> None:
        if self._listener is not None:
            try:
                near, _address = self._listener.accept()
            except OSError:
                return
            self._enter(near, self._target)


class Wire:
    """One connection: two sockets, and what is on its way between them."""

    def __init__(self, net: Network, loop: Loop, near: socket.socket, target: tuple[str, int]) -> None:
        self._net, self._loop = net, loop
        self._near = near
        self._far = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._up, self._down = bytearray(), bytearray()
        self._near_open = self._far_open = True
        self._due = self._patient_until = 0.0
        self._sent()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connected = self._far.connect_ex(target) == 0
        self._watch()

    def due(self, now: float) -> float:
        """Until when (seconds of the wall) an answer may come: the server's time begins when it has read what came."""
        if self._due <= now < self._patient_until:
            if _has_not_read(self._far):
                self._due = now + self._net.pace.patience_s
            else:
                self._patient_until = 0.0
        return self._due

    def pass_on(self) -> None:
        """The link has changed."""
        self._watch()

    def end(self, reset: bool = False) -> None:
        """Close both ends."""
        self._loop.forget(self._near)
        self._loop.forget(self._far)
        if reset:
            self._far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._near.close()
        self._far.close()
        self._net.gone(self)

    def _watch(self) -> None:
        if not self._net.link:
            self._loop.forget(self._near)
            self._loop.forget(self._far)
            return
        if not self._connected:
            self._loop.watch(self._far, self._reached, write=True)
            return
        self._interest(
            self._near, self._near_ready, self._near_open and len(self._up) < _HELD, bool(self._down)
        )
        self._interest(self._far, self._far_ready, self._far_open and len(self._down) < _HELD, bool(self._up))

    def _interest(self, one: socket.socket, ready: Callable[[int], None], read: bool, write: bool) -> None:
        if read or write:
            self._loop.watch(one, ready, read=read, write=write)
        else:
            self._loop.forget(one)

    def _reached(self, _: int) -> None:
        if self._far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.end(reset=True)  # nobody listens there
            return
        self._connected = True
        self._watch()

    def _near_ready(self, mask: int) -> None:
        self._serve(mask, self._near, self._up, self._down)

    def _far_ready(self, mask: int) -> None:
        self._serve(mask, self._far, self._down, self._up)

    def _serve(self, mask: int, one: socket.socket, from_it: bytearray, to_it: bytearray) -> None:
        try:
            if mask & 1 and (
                (one is self._near and self._near_open) or (one is self._far and self._far_open)
            ):
                self._hear(one, from_it)
            if to_it:
                self._flush()
        except BlockingIOError:
            pass
        except OSError:
            self.end(reset=True)
            return
        if (not self._near_open and not self._up) or (not self._far_open and not self._down):
            self.end()
        else:
            self._watch()

    def _hear(self, one: socket.socket, held: bytearray) -> None:
        data = one.recv(16384)
        now, pace = self._net.wall.now(), self._net.pace
        if not data:
            if one is self._near:
                self._near_open = False
            else:
                self._far_open = False
        elif one is self._near:
            if len(data) not in _ACKNOWLEDGEMENTS:
                self._sent()
        elif len(data) <= _ANSWER:
            self._due = now + pace.linger_s
        else:
            self._due = max(now + pace.linger_s, min(self._due, now + pace.doubt_s))
        held += data
        self._flush()

    def _sent(self) -> None:
        now, patience_s = self._net.wall.now(), self._net.pace.patience_s
        self._due, self._patient_until = now + patience_s, now + _UNREAD * patience_s

    def _flush(self) -> None:
        """Send what is held, as far as it goes."""
        for one, held, up in ((self._far, self._up, True), (self._near, self._down, False)):
            if held:
                try:
                    sent = one.send(held)
                except BlockingIOError:
                    continue
                del held[:sent]
                self._net.carried(sent if up else 0, 0 if up else sent)


def _has_not_read(ours: socket.socket) -> bool:
    """Whether the other end of a connection on this machine still has bytes before it that it has not read."""
    with contextlib.suppress(OSError):
        ends = f"{_place(ours.getpeername())} {_place(ours.getsockname())}"
        for row in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines():  # proc(5)
            if ends in row:
                return int(row.split()[4].partition(":")[2], 16) > 0
    return False


def _place(address: tuple[str, int]) -> str:
    number = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
    return f"{number:08X}:{address[1]:04X}"
