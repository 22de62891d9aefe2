"""Nova Fitness SDS011: particulate matter; its laser lasts 8000 h, so it sleeps between measurements.

Frame of 10 bytes: AA, C0 (a measurement) or C5 (the answer to a command), six data bytes, their sum modulo 256, AB.
Values in tenths of ug/m3, low byte first. (Laser Dust Sensor Control Protocol V1.3, Nova Fitness.)
"""

from qytet_edge.inbox.uart.frames import Frames, Sensor

__all__ = ["SENSOR"]

_MEASURED = 0xC0
_SIZE = 10


def _command(*data: int) -> bytes:
    """A command of 19 bytes to any sensor (id FF FF): AA B4, 13 data bytes, id, sum, AB."""
    body = bytes(data).ljust(13, b"\0") + b"\xff\xff"
    return b"\xaa\xb4" + body + bytes([sum(body) % 256, 0xAB])


def _good(frame: bytes) -> bool:
    return frame[9] == 0xAB and sum(frame[2:8]) % 256 == frame[8]


def _values(frame: bytes) -> dict[str, float | None] | None:
    if frame[1] != _MEASURED:
        return None
    pm2_5, pm10 = int.from_bytes(frame[2:4], "little"), int.from_bytes(frame[4:6], "little")
    return {"pm2_5": pm2_5 / 10, "pm10": pm10 / 10}


SENSOR = Sensor(
    name="sds011",
    baud=9600,
    keys=("pm2_5", "pm10"),
    frames=lambda: Frames((b"\xaa\xc0", b"\xaa\xc5"), _SIZE, _good),
    values=_values,
    warm_up_s=30.0,  # data sheet: 30 s for the fan to carry a steady stream
    setup=(_command(2, 1, 0), _command(8, 1, 0)),  # it speaks by itself; its own working period is off
    wake=_command(6, 1, 1),
    sleep=_command(6, 1, 0),
)
