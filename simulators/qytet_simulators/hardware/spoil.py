"""What goes wrong with a frame on a serial line, by chance."""

import random

from qytet_simulators.instruments.uart import Faults

__all__ = ["spoilt"]


def spoilt(frame: bytes, faults: Faults, checksum_at: int, luck: random.Random) -> tuple[bytes, bool]:
    """What goes out instead of a frame, and whether a reader can read it; one draw decides."""
    chance = luck.random()
    if chance < faults.bad_checksum:
        wrong = bytearray(frame)
        wrong[checksum_at] ^= 1 << luck.randrange(8)
        return bytes(wrong), False
    if chance < faults.bad_checksum + faults.truncated:
        return frame[: luck.randrange(1, len(frame))], False
    if chance < faults.bad_checksum + faults.truncated + faults.garbage:
        return luck.randbytes(luck.randrange(1, 40)) + frame, True
    return frame, True
