"""A dashboard's time range in Grafana's words (`now-6h`, `now/d`) as two instants."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tests.dashboards.grafana.macros import TimeRange

_STEP = re.compile(r"([-+/])(\d*)([smhdwMy])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def span(since: str, till: str, now: datetime, zone: str = "Europe/Tirane") -> TimeRange:
    """The range, its end rounded up where it is rounded; milliseconds are cut off.

    Raises:
        ValueError: words that are not known here.
    """
    local = now.astimezone(ZoneInfo(zone))
    return TimeRange(_instant(since, local, up=False), _instant(till, local, up=True))


def _instant(words: str, now: datetime, *, up: bool) -> datetime:
    steps = list(_STEP.finditer(words, 3))
    if "now" + "".join(step[0] for step in steps) != words:
        raise ValueError(f"{words!r} is no time that is understood here")
    for sign, count, unit in (step.groups() for step in steps):
        if sign == "/":
            now = _rounded(now, unit, up=up)
        else:
            now = _moved(now, int(count or 1) * (-1 if sign == "-" else 1), unit)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _moved(at: datetime, count: int, unit: str) -> datetime:
    if unit in _UNITS:
        return at + timedelta(**{_UNITS[unit]: count})
    months = at.year * 12 + at.month - 1 + count * (12 if unit == "y" else 1)
    return at.replace(year=months // 12, month=months % 12 + 1, day=min(at.day, 28))


def _rounded(at: datetime, unit: str, *, up: bool) -> datetime:
    start = at.replace(microsecond=0, second=0)
    if unit in "hdwMy":
        start = start.replace(minute=0)
    if unit in "dwMy":
        start = start.replace(hour=0)
    if unit == "w":
        start -= timedelta(days=start.weekday())
    if unit in "My":
        start = start.replace(day=1)
    if unit == "y":
        start = start.replace(month=1)
    return _moved(start, 1, unit) - timedelta(milliseconds=1) if up else start
