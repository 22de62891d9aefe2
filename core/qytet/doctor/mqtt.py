"""Just enough of an MQTT 3.1.1 client to try a broker: log in, subscribe, publish with QoS 1, receive.

One connection, blocking, bounded by a time limit; chapter numbers are those of OASIS MQTT 3.1.1.
"""

import secrets
import socket
import ssl
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from qytet.broker import BrokerUrl

__all__ = ["ClosedError", "Link", "RefusedError"]

_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90
_DISCONNECT = b"\xe0\x00"
_INBOX = 1000  # messages that are kept; older ones are dropped: this is no client for real traffic
_QOS1 = 0x02  # in the flags of PUBLISH
_REFUSALS = {  # 3.2.2.3
    1: "it does not speak MQTT 3.1.1",
    2: "it refuses the client's name",
    3: "it is not available",
    4: "the user or the password is wrong",
    5: "the user or the password is wrong, or the user may not connect",
}


class RefusedError(OSError):
    """The broker said no; the text says to what."""


class ClosedError(RefusedError):
    """The broker closed the connection without a word."""


class Link:
    """A connection to a broker; a context manager. Every wait ends after `timeout` s with TimeoutError."""

    def __init__(
        self,
        target: BrokerUrl,
        *,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        timeout: float = 5.0,
    ) -> None:
        self._buffer = bytearray()
        self._inbox: deque[tuple[str, bytes]] = deque(maxlen=_INBOX)
        self._socket = socket.create_connection((target.host, target.port), timeout)
        try:
            if target.tls:
                self._socket = _secured(self._socket, target.host, ca_file, cert_file, key_file)
            self._log_in(target)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._socket.sendall(_DISCONNECT)
        except OSError:
            pass  # it is gone already
        finally:
            self._socket.close()

    def subscribe(self, topic_filter: str) -> None:
        """Subscribe with QoS 1. Raises RefusedError if the broker says no (some say yes and send nothing)."""
        self._send(_frame(_SUBSCRIBE, b"\x00\x01" + _text(topic_filter) + b"\x01"))
        if self._answer(_SUBACK)[2] == 0x80:
            raise RefusedError(f"the user may not subscribe to {topic_filter}")

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1 and wait for the PUBACK (which 3.1.1 gives to what is denied, too)."""
        self._send(_frame(_PUBLISH | _QOS1, _text(topic) + b"\x00\x02" + payload))
        self._answer(_PUBACK)

    def receive(self) -> tuple[str, bytes]:
        """The next message's topic and payload."""
        while not self._inbox:
            self._keep(*self._packet())
        return self._inbox.popleft()

    def _answer(self, wanted: int) -> bytes:
        """The next packet of this kind; messages that come before it are kept for `receive`."""
        while True:
            kind, body = self._packet()
            if kind == wanted:
                return body
            self._keep(kind, body)

    def _keep(self, kind: int, body: bytes) -> None:
        if kind & 0xF0 == _PUBLISH:
            length = int.from_bytes(body[:2], "big")
            start = 2 + length + (2 if kind & 0x06 else 0)  # a packet id, if QoS is not 0
            self._inbox.append((body[2 : 2 + length].decode(), bytes(body[start:])))

    def _log_in(self, target: BrokerUrl) -> None:
        self._send(_connect(target))
        kind, body = self._packet()
        if kind != _CONNACK or len(body) != 2:
            raise RefusedError("it answers, but not as an MQTT broker")
        if body[1]:
            raise RefusedError(_REFUSALS.get(body[1], f"it refuses with code {body[1]}"))

    def _send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def _packet(self) -> tuple[int, bytes]:
        kind, size = self._take(1)[0], 0
        for shift in (0, 7, 14, 21):  # 2.2.3
            byte = self._take(1)[0]
            size |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        return kind, self._take(size)

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            chunk = self._socket.recv(65_536)
            if not chunk:
                raise ClosedError("it closed the connection")
            self._buffer += chunk
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


def _secured(
    raw: socket.socket, host: str, ca_file: Path | None, cert_file: Path | None, key_file: Path | None
) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    if cert_file is not None:
        context.load_cert_chain(cert_file, key_file)
    return context.wrap_socket(raw, server_hostname=host)


def _connect(target: BrokerUrl) -> bytes:
    flags = 0x02 | (0x80 if target.user else 0) | (0x40 if target.password else 0)  # 3.1.2.3: clean session
    body = _text("MQTT") + bytes([4, flags]) + (30).to_bytes(2, "big")  # level 4; keep alive 30 s
    body += _text(f"qytet-doctor-{secrets.token_hex(4)}")
    body += _text(target.user) if target.user else b""
    body += _text(target.password) if target.password else b""
    return _frame(_CONNECT, body)


def _frame(kind: int, body: bytes) -> bytes:
    size, head = len(body), bytearray([kind])
    while True:
        size, digit = divmod(size, 128)
        head.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(head) + body


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw
