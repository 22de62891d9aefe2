"""A broker that says exactly what a test tells it to say, byte by byte."""

import socket
import struct
from types import TracebackType
from typing import Self

__all__ = ["CONNACK", "PATIENCE_S", "FakeBroker", "Peer", "publish", "suback"]

CONNACK = b"\x20\x02\x00\x00"
FILTERS = 12  # ingest's subscriptions
PATIENCE_S = 60.0  # s until nothing more is waited for


def suback(*codes: int) -> bytes:
    """SUBACK of packet 1."""
    codes = codes or (1,) * FILTERS
    return bytes([0x90, 2 + len(codes), 0, 1, *codes])


def length(number: int) -> bytes:
    """Remaining length, seven bits a byte."""
    out = bytearray()
    while True:
        number, low = divmod(number, 128)
        out.append(low | (128 if number else 0))
        if not number:
            return bytes(out)


def publish(topic: bytes, payload: bytes, token: int | None) -> bytes:
    """PUBLISH at QoS 1, or at QoS 0 if there is no token."""
    body = struct.pack(">H", len(topic)) + topic
    body += (b"" if token is None else struct.pack(">H", token)) + payload
    return bytes([0x30 if token is None else 0x32]) + length(len(body)) + body


class Peer:
    """The broker's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def packet(self) -> tuple[int, bytes]:
        """The next packet from the client: type and body."""
        head = self._exactly(1)[0]
        size = shift = 0
        while True:
            byte = self._exactly(1)[0]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return head >> 4, self._exactly(size)

    def expect(self, kind: int) -> bytes:
        """The body of the next packet, which must be of this type."""
        found, body = self.packet()
        assert found == kind, f"packet type {found} instead of {kind}"
        return body

    def greet(self) -> Self:
        """Accept the connection and all subscriptions."""
        self.expect(1)
        self.send(CONNACK)
        self.expect(8)
        self.send(suback())
        return self

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(data)

    def send_until_blocked(self, data: bytes, limit: int) -> int:
        """Send until the other side has not taken anything for a second; returns how many bytes went out."""
        self._connection.settimeout(1)
        sent = 0
        try:
            while sent < limit:
                sent += self._connection.send(data[sent % len(data) :])
        except TimeoutError:
            pass
        self._connection.settimeout(PATIENCE_S)
        return sent

    def closed(self) -> bool:
        """Whether the client has hung up; waits for it."""
        try:
            while self._connection.recv(65536):
                pass
        except ConnectionError:
            pass
        return True

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._connection.recv(size - len(data))
            assert part, "the client hung up"
            data += part
        return data


class FakeBroker:
    """Listens on a free loopback port."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return f"mqtt://ingest:secret@127.0.0.1:{self._listener.getsockname()[1]}"

    def accept(self) -> Peer:
        """The next connection."""
        return Peer(self._listener.accept()[0])
