"""Winsen MH-Z19: carbon dioxide by infrared absorption; answers when asked.

Question and answer have 9 bytes: FF, …, and the two's complement of the sum of bytes 1 to 7. The answer to 86 holds
CO2 in ppm in bytes 2 and 3, high byte first. (MH-Z19B user's manual, Winsen.)
"""

from qytet_edge.inbox.uart.frames import Frames, Sensor

__all__ = ["SELF_CALIBRATION", "SENSOR"]

_SIZE = 9
_READ = 0x86
_CALIBRATE_ITSELF = 0x79


def _check(frame: bytes) -> int:
    return -sum(frame[1:8]) % 256


def _command(code: int, first: int = 0) -> bytes:
    body = bytes([0xFF, 0x01, code, first, 0, 0, 0, 0])
    return body + bytes([_check(body)])


def _good(frame: bytes) -> bool:
    return _check(frame) == frame[8]


def _values(frame: bytes) -> dict[str, float | None] | None:
    return {"co2": float(int.from_bytes(frame[2:4], "big"))} if frame[1] == _READ else None


SELF_CALIBRATION = {True: _command(_CALIBRATE_ITSELF, 0xA0), False: _command(_CALIBRATE_ITSELF, 0x00)}
"""Takes the lowest value of each day for 400 ppm, or not: right only where fresh air comes daily."""

SENSOR = Sensor(
    name="mhz19",
    baud=9600,
    keys=("co2",),
    frames=lambda: Frames((bytes([0xFF, _READ]), bytes([0xFF, _CALIBRATE_ITSELF])), _SIZE, _good),
    values=_values,
    warm_up_s=180.0,  # manual: preheat time 3 min, in which it answers a constant
    ask=_command(_READ),
)
