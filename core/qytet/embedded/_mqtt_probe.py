"""Whether an MQTT 3.1.1 broker answers: one CONNECT, one CONNACK, one DISCONNECT (OASIS 3.1.1, chapter 3)."""

import contextlib
import socket

_CONNECT, _DISCONNECT = 0x10, b"\xe0\x00"
_CLEAN_WITH_PASSWORD = 0xC2  # user name, password, clean session
_KEEP_ALIVE = 10  # s


def mqtt_answers(host: str, port: int, user: str, password: str, timeout: float = 2.0) -> bool:
    """Tell whether the broker accepts this user now; any failure, refusal or silence is False."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout) as link:
        link.sendall(_connect_packet(user, password))
        answer = link.recv(4)
        link.sendall(_DISCONNECT)
        return len(answer) == 4 and answer[0] == 0x20 and answer[3] == 0  # CONNACK, accepted
    return False


def _connect_packet(user: str, password: str) -> bytes:
    head = _field("MQTT") + bytes([4, _CLEAN_WITH_PASSWORD]) + _KEEP_ALIVE.to_bytes(2, "big")
    body = head + _field("qytet-probe") + _field(user) + _field(password)
    if len(body) > 127:
        raise ValueError("user and password are too long for a probe")
    return bytes([_CONNECT, len(body)]) + body


def _field(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw
