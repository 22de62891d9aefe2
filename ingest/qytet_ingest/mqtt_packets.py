"""MQTT 3.1.1 packets, as far as a subscriber needs them (OASIS mqtt-v3.1.1-os; sections named in brackets)."""

import struct

import numpy as np

__all__ = [
    "CONNACK",
    "DISCONNECT",
    "PINGREQ",
    "REFUSALS",
    "SUBACK",
    "FrameError",
    "connect",
    "frames",
    "pubacks",
    "publish0",
    "subscribe",
]

CONNACK, SUBACK = 2, 9
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"

REFUSALS = {
    1: "the broker does not speak MQTT 3.1.1",
    2: "the broker refuses this client id",
    3: "the broker is not available",
    4: "wrong user name or password",
    5: "this user may not connect",
}
"""Return codes of CONNACK [3.2.2.3]."""

_PUBACK = np.dtype([("head", ">u2"), ("token", ">u2")])


def _text(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


def _packet(head: int, body: bytes) -> bytes:
    return bytes([head]) + _length(len(body)) + body


def _length(number: int) -> bytes:
    """Remaining length: seven bits a byte, lowest first [2.2.3]."""
    out = bytearray()
    while True:
        number, byte = divmod(number, 128)
        out.append(byte | (128 if number else 0))
        if not number:
            return bytes(out)


def connect(client_id: str, keepalive: int, user: str, password: str) -> bytes:
    """CONNECT with a persistent session [3.1]; `keepalive` in seconds."""
    flags = (0x80 if user else 0) | (0x40 if password else 0)
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + struct.pack(">H", keepalive) + _text(client_id.encode())
    if user:
        body += _text(user.encode())
    if password:
        body += _text(password.encode())
    return _packet(0x10, body)


def subscribe(packet_id: int, filters: list[str]) -> bytes:
    """SUBSCRIBE at QoS 1 [3.8]."""
    body = struct.pack(">H", packet_id) + b"".join(_text(f.encode()) + b"\x01" for f in filters)
    return _packet(0x82, body)


def publish0(topic: bytes, payload: bytes) -> bytes:
    """PUBLISH at QoS 0 [3.3]."""
    return _packet(0x30, _text(topic) + payload)


def pubacks(tokens: list[int]) -> bytes:
    """PUBACK for each packet id [3.4], built at once: thousands go out together."""
    packets = np.empty(len(tokens), _PUBACK)
    packets["head"] = 0x4002
    packets["token"] = tokens
    return packets.tobytes()


class FrameError(Exception):
    """The broker sent what is not MQTT."""


def frames(
    buffer: bytes, topics: list[bytes], payloads: list[bytes], tokens: list[int | None]
) -> tuple[int, list[tuple[int, bytes]]]:
    """Split `buffer`: PUBLISH packets go to the three lists, others are returned as (type, body).

    Returns how many bytes were used and the others. Raises FrameError. This is the hot loop of receiving:
    about one microsecond a message, so it stands in one piece.
    """
    others: list[tuple[int, bytes]] = []
    at, end = 0, len(buffer)
    add_topic, add_payload, add_token = topics.append, payloads.append, tokens.append
    while end - at >= 2:
        head, length, body = buffer[at], buffer[at + 1], at + 2
        if length > 127:
            length &= 127
            shift = 7
            while True:
                if body >= end:
                    return at, others
                byte = buffer[body]
                body += 1
                length |= (byte & 127) << shift
                if byte < 128:
                    break
                shift += 7
                if shift > 21:
                    raise FrameError("a remaining length of more than four bytes")
        stop = body + length
        if stop > end:
            break
        if head & 0xF0 == 0x30:
            if length < 2:
                raise FrameError("a PUBLISH without a topic")
            start = body + 2 + (buffer[body] << 8 | buffer[body + 1])
            qos = head & 0x06
            if (start + 2 if qos else start) > stop:
                raise FrameError("a PUBLISH that is shorter than its topic")
            add_topic(buffer[body + 2 : start])
            if qos:
                add_token(buffer[start] << 8 | buffer[start + 1])
                add_payload(buffer[start + 2 : stop])
            else:
                add_token(None)
                add_payload(buffer[start:stop])
        else:
            others.append((head >> 4, buffer[body:stop]))
        at = stop
    return at, others
