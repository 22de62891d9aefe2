"""`$__interval`: how Grafana derives the distance of a panel's points from the range and the panel's width.

Behaviour of `rangeUtil.calculateInterval` (browser) and `gtime` (server).
"""

import calendar
import re
from datetime import UTC, datetime, timedelta

_STEPS_MS = (
    (10, 1),
    (15, 10),
    (35, 20),
    (75, 50),
    (150, 100),
    (350, 200),
    (750, 500),
    (1_500, 1_000),
    (3_500, 2_000),
    (7_500, 5_000),
    (12_500, 10_000),
    (17_500, 15_000),
    (25_000, 20_000),
    (45_000, 30_000),
    (90_000, 60_000),
    (210_000, 120_000),
    (450_000, 300_000),
    (750_000, 600_000),
    (1_050_000, 900_000),
    (1_500_000, 1_200_000),
    (2_700_000, 1_800_000),
    (5_400_000, 3_600_000),
    (9_000_000, 7_200_000),
    (16_200_000, 10_800_000),
    (32_400_000, 21_600_000),
    (86_400_000, 43_200_000),
    (604_800_000, 86_400_000),
    (1_814_400_000, 604_800_000),
    (3_628_800_000, 2_592_000_000),
)
"""Below so many milliseconds, Grafana rounds to so many."""
_YEAR_MS = 31_536_000_000

_UNITS_S = {
    "y": 31_536_000,
    "M": 2_592_000,
    "w": 604_800,
    "d": 86_400,
    "h": 3_600,
    "m": 60,
    "s": 1,
    "ms": 0.001,
}
_SPAN = re.compile(r"(-?\d+(?:\.\d+)?)(ms|[Mwdhmsy])")
_CALENDAR = re.compile(r"(\d+)([dwMy])")
_GO_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_GO_UNITS_US = {"ns": 0.001, "us": 1, "µs": 1, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}


def rounded(milliseconds: float) -> int:
    """The round interval that Grafana takes instead of this one (ms)."""
    return next((taken for below, taken in _STEPS_MS if milliseconds < below), _YEAR_MS)


def span_ms(text: str) -> float:
    """Milliseconds of a browser-side interval such as `1m`; without a unit, seconds; decimals are cut off.

    Raises:
        ValueError: no interval.
    """
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return int(float(text)) * 1000
    if (found := _SPAN.match(text)) is None:
        raise ValueError(f"{text!r} is no interval")
    return int(float(found[1])) * _UNITS_S[found[2]] * 1000


def calculated(range_ms: float, points: int, least: str = "1m") -> tuple[str, int]:
    """`$__interval` and `$__interval_ms` of a panel of so many points.

    SQL datasources have a least interval of one minute unless the datasource or the panel says otherwise.
    """
    milliseconds = max(rounded(range_ms / points), int(span_ms(least)))
    return _words(milliseconds), milliseconds


def _words(milliseconds: int) -> str:
    """The browser's text: the largest unit that is there at all, and how many whole ones."""
    seconds = milliseconds / 1000
    for unit in ("y", "d", "h", "m", "s"):
        if whole := int(seconds // _UNITS_S[unit]):
            return f"{whole}{unit}"
    return f"{milliseconds}ms"


def formatted(milliseconds: int) -> str:
    """The server's text of an interval (`gtime.FormatInterval`)."""
    for unit in ("y", "d", "h", "m", "s"):
        if (size := int(_UNITS_S[unit] * 1000)) <= milliseconds:
            return f"{milliseconds // size}{unit}"
    return f"{max(1, milliseconds)}ms"


def parsed(text: str, now: datetime | None = None) -> timedelta:
    """A server-side interval: days, weeks, months and years of the calendar from now, else a duration of Go's.

    Raises:
        ValueError: neither.
    """
    if found := _CALENDAR.fullmatch(text):
        start = now or datetime.now(UTC)
        return _later(start, int(found[1]), found[2]) - start
    parts = _GO_PART.findall(text)
    if text == "0":
        return timedelta(0)
    if not parts or "".join(number + unit for number, unit in parts) != text.lstrip("+-"):
        raise ValueError(f"error parsing interval {text}")
    sign = -1 if text.startswith("-") else 1
    return timedelta(microseconds=sign * sum(float(number) * _GO_UNITS_US[unit] for number, unit in parts))


def _later(start: datetime, count: int, unit: str) -> datetime:
    if unit in "dw":
        return start + timedelta(days=count * (7 if unit == "w" else 1))
    months = start.year * 12 + start.month - 1 + count * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    first = start.replace(year=year, month=month + 1, day=1)
    days = calendar.monthrange(year, month + 1)[1]  # Go lets 31 February run on into March
    return first + timedelta(days=start.day - 1) if start.day > days else first.replace(day=start.day)
