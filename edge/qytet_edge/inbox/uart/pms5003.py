"""Plantower PMS5003: particulate matter, by a laser; speaks by itself about once a second.

Frame of 32 bytes: 42 4D, length 00 1C, 13 words (big-endian), the sum of bytes 0 to 29. Words 1 to 3 are for
factory dust (CF=1), words 4 to 6 for ambient air: pm1, pm2_5, pm10 in ug/m3. (Plantower PMS5003 manual, appendix I.)
"""

import struct

from qytet_edge.inbox.uart.frames import Frames, Sensor

__all__ = ["SENSOR"]

_HEAD = b"\x42\x4d\x00\x1c"
_SIZE = 32
_AMBIENT = struct.Struct(">3H")
_AMBIENT_AT = 10


def _good(frame: bytes) -> bool:
    return sum(frame[:30]) == int.from_bytes(frame[30:], "big")


def _values(frame: bytes) -> dict[str, float | None]:
    pm1, pm2_5, pm10 = _AMBIENT.unpack_from(frame, _AMBIENT_AT)
    return {"pm1": float(pm1), "pm2_5": float(pm2_5), "pm10": float(pm10)}


SENSOR = Sensor(
    name="pms5003",
    baud=9600,
    keys=("pm1", "pm2_5", "pm10"),
    frames=lambda: Frames((_HEAD,), _SIZE, _good),
    values=_values,
    warm_up_s=30.0,  # manual: stable data at least 30 s after the fan starts
    setup=(bytes.fromhex("424de100010171"),),  # active mode: it speaks by itself
    wake=bytes.fromhex("424de400010174"),
    sleep=bytes.fromhex("424de400000173"),
)
