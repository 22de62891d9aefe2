"""NMEA 0183 sentences of a satellite receiver: RMC for time and date, GGA for place and quality.

`$GNRMC,123519.00,A,4119.5,N,01949.1,E,0.0,,230326,,,A*hh`: between `$` and `*` an XOR checksum is taken.
A position is kept to be shown to the technician; it is not a reading.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import xor

__all__ = ["Fix", "Sentences", "checked"]

_LONGEST = 120
"""NMEA allows 82 characters; some receivers write more."""
_GUESSED = ("E", "M", "N", "S")
"""Mode indicators that are no fix: estimated, manual, not valid, simulator."""


@dataclass(frozen=True)
class Fix:
    """What the receiver knows; degrees north and east, metres above mean sea level."""

    valid: bool = False
    t_ms: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    satellites: int | None = None


def checked(line: bytes) -> list[str] | None:
    """The fields of a sentence whose checksum is right, its address first; None if anything is wrong."""
    start = line.rfind(b"$")
    body, star, told = line[start + 1 :].partition(b"*")
    if start < 0 or not star:
        return None
    try:
        right = int(told[:2], 16) == reduce(xor, body, 0) and len(told.strip()) == 2
        return body.decode("ascii").split(",") if right else None
    except ValueError:
        return None


class Sentences:
    """Lines out of a stream, and what they say of time and place; a line without an end is let go at 120 bytes."""

    def __init__(self) -> None:
        self._held = bytearray()
        self.bad = 0
        """Lines that look like a sentence and are none: a wrong checksum, a field that cannot be read."""
        self.good = 0
        self.fix = Fix()

    def feed(self, data: bytes) -> list[Fix]:
        """The fix after each RMC that `data` completes."""
        self._held += data
        *lines, rest = self._held.split(b"\n")
        self._held = rest if len(rest) <= _LONGEST else bytearray()
        return [fix for line in lines if (fix := self._line(bytes(line).rstrip(b"\r"))) is not None]

    def clear(self) -> None:
        """Forget an unfinished line."""
        self._held.clear()

    def _line(self, line: bytes) -> Fix | None:
        fields = checked(line)
        if fields is None:
            self.bad += bool(line)
            return None
        self.good += 1
        try:
            if fields[0][2:] == "RMC":
                self.fix = _rmc(fields, self.fix)
                return self.fix
            if fields[0][2:] == "GGA":
                self.fix = _gga(fields, self.fix)
        except (ValueError, IndexError):
            self.bad += 1
        return None


def _rmc(fields: list[str], before: Fix) -> Fix:
    mode = fields[12] if len(fields) > 12 else "A"
    if fields[2] != "A" or mode in _GUESSED:
        return replace(before, valid=False, t_ms=None)
    return replace(
        before,
        valid=True,
        t_ms=_time(fields[9], fields[1]),
        latitude=_degrees(fields[3], fields[4], 2),
        longitude=_degrees(fields[5], fields[6], 3),
    )


def _gga(fields: list[str], before: Fix) -> Fix:
    if fields[6] in {"", "0"}:
        return replace(before, valid=False, satellites=_whole(fields[7]), altitude=None)
    return replace(before, satellites=_whole(fields[7]), altitude=float(fields[9]) if fields[9] else None)


def _whole(text: str) -> int | None:
    return int(text) if text else None


def _degrees(text: str, side: str, digits: int) -> float:
    """Degrees and minutes run together, `4119.5` or `01949.1`, as degrees with a sign."""
    if side not in {"N", "S", "E", "W"}:
        raise ValueError(side)
    degrees = int(text[:digits]) + float(text[digits:]) / 60
    if not 0 <= degrees <= (90 if digits == 2 else 180):
        raise ValueError(text)
    return round(-degrees if side in {"S", "W"} else degrees, 6)


def _time(date: str, clock: str) -> int:
    """Unix milliseconds of `ddmmyy` and `hhmmss.sss`; a leap second (60) is the next minute's first."""
    day, month, year = int(date[:2]), int(date[2:4]), 2000 + int(date[4:6])
    start = datetime(year, month, day, int(clock[:2]), int(clock[2:4]), tzinfo=UTC)
    seconds = float(clock[4:])
    if not 0 <= seconds < 61 or len(date) != 6:
        raise ValueError(clock)
    return round((start + timedelta(seconds=seconds)).timestamp() * 1000)
