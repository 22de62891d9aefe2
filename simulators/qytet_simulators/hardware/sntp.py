"""A time server on loopback that gives the bench's true time, or does not."""

import struct
from dataclasses import dataclass

__all__ = ["TimeServer"]

_UNIX_OF_NTP = 2208988800


@dataclass
class TimeServer:
    """What it answers; change it at any time in the bench's thread.

    `offset_ms` is added to the true time: set it and the clock has made a step.
    """

    answering: bool = True
    offset_ms: int = 0
    stratum: int = 2
    leap: int = 0
    """3: not synchronised."""
    echo: bool = True
    """False: the answer does not repeat the question's time, as a forged one does not."""
    asked: int = 0

    def answer(self, question: bytes, unix_ms: int) -> bytes | None:
        """The packet to send back (RFC 4330, 4 and 5); None is silence."""
        self.asked += 1
        if not self.answering or len(question) < 48 or question[0] & 7 != 3:
            return None
        now = _stamp(unix_ms + self.offset_ms)
        originate = question[40:48] if self.echo else bytes(8)
        head = bytes((self.leap << 6 | 4 << 3 | 4, self.stratum, 6, 0xEC)) + bytes(8) + b"LOCL"
        return head + now + originate + now + now


def _stamp(unix_ms: int) -> bytes:
    """NTP's 64 bits; seconds wrap in 2036, as they are meant to."""
    seconds, ms = divmod(unix_ms, 1000)
    return struct.pack(">II", (seconds + _UNIX_OF_NTP) & 0xFFFFFFFF, (ms << 32) // 1000)
