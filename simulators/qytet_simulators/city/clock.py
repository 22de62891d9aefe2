"""Civil time in Albania for arrays of instants: local day, hour, weekday, holiday; valid from 2024 to 2039.

Holidays are those of fixed date (Law 7651); the movable feasts (Easter, Bajram) are left out.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np

from qytet_simulators.city.arrays import Bools, Floats, Millis

EPOCH_MS = 1_704_067_200_000  # 2024-01-01T00:00Z: the models' counters and tables begin here
END_MS = 2_208_988_800_000  # 2040-01-01T00:00Z
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
DAYS = (END_MS - EPOCH_MS) // DAY_MS
_FIRST_DAY = EPOCH_MS // DAY_MS  # days since 1970
_HOLIDAYS = {
    (1, 1), (1, 2), (3, 14), (3, 22), (5, 1), (9, 5), (11, 22), (11, 28), (11, 29), (12, 8), (12, 25),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Civil time, elementwise: ``day`` counts from 1970, ``hour`` is 0 <= h < 24, ``resting`` no working day."""

    day: Millis
    hour: Floats
    saturday: Bools
    resting: Bools


def check_range(t_ms: Millis) -> None:
    """Raise ValueError when an instant lies outside the years that the tables cover."""
    if t_ms.size and (int(t_ms.min()) < EPOCH_MS or int(t_ms.max()) >= END_MS):
        raise ValueError(
            "the city models cover 2024-01-01 to 2039-12-31 UTC: ask for instants in these years"
        )


def local_time(t_ms: Millis, zone: str) -> LocalTime:
    """Civil time of each instant."""
    local = t_ms + offset_ms(t_ms, zone)
    day = local // DAY_MS
    kind = _day_kinds()[day - _FIRST_DAY + 1]
    return LocalTime(day, (local - day * DAY_MS) / HOUR_MS, kind == 1, kind == 2)


def offset_ms(t_ms: Millis, zone: str) -> Millis:
    """Local time minus UTC at each instant."""
    instants, offsets = _transitions(zone)
    return offsets[np.searchsorted(instants, t_ms, side="right")]


def at_local_hour(day: Millis, hour: float, zone: str) -> Millis:
    """The instants at which these local days (counted from 1970) reach an hour that no clock change touches."""
    wall = day * DAY_MS + round(hour * HOUR_MS)
    return wall - offset_ms(wall - HOUR_MS, zone)


@cache
def _day_kinds() -> Millis:
    """0 working day, 1 Saturday, 2 Sunday or holiday; a day of margin at both ends."""
    kinds = np.zeros(DAYS + 3, dtype=np.int64)
    for i in range(DAYS + 3):
        day = date(1970, 1, 1) + timedelta(days=_FIRST_DAY - 1 + i)
        resting = day.weekday() == 6 or (day.month, day.day) in _HOLIDAYS
        kinds[i] = 2 if resting else int(day.weekday() == 5)
    return kinds


@cache
def _transitions(zone: str) -> tuple[Millis, Millis]:
    """Instants of change, and the offsets before, between and after them (one more than instants)."""
    info = ZoneInfo(zone)
    first = EPOCH_MS - 2 * DAY_MS
    instants: list[int] = []
    offsets = [_offset(first, info)]
    for day in range(first, END_MS + 2 * DAY_MS, DAY_MS):
        if _offset(day + DAY_MS, info) == offsets[-1]:
            continue
        hours = range(day, day + DAY_MS + HOUR_MS, HOUR_MS)
        instants.append(next(h for h in hours if _offset(h, info) != offsets[-1]))
        offsets.append(_offset(instants[-1], info))
    return np.array(instants, dtype=np.int64), np.array(offsets, dtype=np.int64)


def _offset(t_ms: int, info: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(t_ms / 1000, UTC).astimezone(info).utcoffset()
    assert offset is not None
    return round(offset.total_seconds() * 1000)
