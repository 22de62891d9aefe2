"""MQTT 3.1.1 as bytes, as far as a publisher needs it (OASIS MQTT 3.1.1, chapters 2 and 3)."""

from collections.abc import Iterator
from typing import NamedTuple

__all__ = [
    "CONNACK",
    "PUBACK",
    "PUBLISH",
    "SUBACK",
    "Incoming",
    "Splitter",
    "connect",
    "puback",
    "publish",
    "subscribe",
    "with_id",
]

CONNACK, PUBLISH, PUBACK, SUBACK = 0x20, 0x30, 0x40, 0x90
DISCONNECT_PACKET = b"\xe0\x00"
MOST_IDS = 65_000
"""Packet ids in use: 1 to this; the protocol has 65,535."""
_CLEAN, _PASSWORD, _USER = 0x02, 0x40, 0x80
_QOS1 = 0x02


class Incoming(NamedTuple):
    """One packet: its type (upper four bits), its flags and its body."""

    kind: int
    flags: int
    body: bytes


def connect(client_id: str, user: str, password: str, keepalive: int = 0) -> bytes:
    """A CONNECT with a clean session; `keepalive` in seconds, 0 for none."""
    flags = _CLEAN | (_USER | _PASSWORD if user else 0)
    body = _text("MQTT") + bytes((4, flags)) + keepalive.to_bytes(2, "big") + _text(client_id)
    if user:
        body += _text(user) + _text(password)
    return b"\x10" + _length(len(body)) + body


def publish(topic: bytes, payload: bytes, packet_id: int) -> bytes:
    """A PUBLISH with QoS 1."""
    size = 4 + len(topic) + len(payload)
    return b"".join(
        (
            b"\x32",
            _length(size),
            len(topic).to_bytes(2, "big"),
            topic,
            packet_id.to_bytes(2, "big"),
            payload,
        )
    )


def with_id(packet: bytes, packet_id: int) -> bytes:
    """The same PUBLISH under another packet id."""
    at = 2
    while packet[at - 1] & 0x80:
        at += 1
    at += 2 + int.from_bytes(packet[at : at + 2], "big")
    return packet[:at] + packet_id.to_bytes(2, "big") + packet[at + 2 :]


def subscribe(filters: list[str], packet_id: int, qos: int = 0) -> bytes:
    """A SUBSCRIBE."""
    body = packet_id.to_bytes(2, "big") + b"".join(_text(name) + bytes((qos,)) for name in filters)
    return b"\x82" + _length(len(body)) + body


def puback(packet_id: int) -> bytes:
    """A PUBACK."""
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def message(packet: Incoming) -> tuple[str, bytes, int]:
    """Topic, payload and packet id (0 with QoS 0) of an incoming PUBLISH."""
    end = 2 + int.from_bytes(packet.body[:2], "big")
    topic = packet.body[2:end].decode()
    if packet.flags & _QOS1:
        return topic, packet.body[end + 2 :], int.from_bytes(packet.body[end : end + 2], "big")
    return topic, packet.body[end:], 0


class Splitter:
    """Cuts a stream into packets; keeps what is not complete yet."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def empty(self) -> bool:
        """Whether no part of a packet is waiting for its end."""
        return not self._rest

    def feed(self, data: bytes) -> Iterator[Incoming]:
        """The packets that are complete now."""
        data, at = self._rest + data, 0
        while (frame := _frame(data, at)) is not None:
            start, end = frame
            yield Incoming(data[at] & 0xF0, data[at] & 0x0F, data[start:end])
            at = end
        self._rest = data[at:]


def _frame(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the body of the packet at `at` begins and ends; None if it is not complete."""
    length = shift = 0
    cursor = at + 1
    while cursor < len(data):
        length |= (data[cursor] & 0x7F) << shift
        if not data[cursor] & 0x80:
            start = cursor + 1
            return (start, start + length) if start + length <= len(data) else None
        shift += 7
        cursor += 1
    return None


def _text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def _length(size: int) -> bytes:
    """The variable-length encoding of a remaining length."""
    if size < 128:
        return bytes((size,))
    found = bytearray()
    while size:
        size, digit = divmod(size, 128)
        found.append(digit | (0x80 if size else 0))
    return bytes(found)
