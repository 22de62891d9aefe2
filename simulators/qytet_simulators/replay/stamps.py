"""When a row was: from stamps as people write them, in a zone with its clock changes, to Unix milliseconds.

A local stamp within the repeated hour of autumn means two instants; `fold` says which:
"order" (default) takes the first pass until the stamps of a series stop rising, then the second.
A local stamp within the skipped hour of spring means none; `skipped` says what to do: "error" (default;
most often the stamps are not civil time at all), "before" (the clock was not set forward in time),
or "missing" (the row is left out, and counted).
"""

from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import Annotated, Literal

import msgspec

from qytet.zones import zone_of

__all__ = ["SkippedHourError", "Stamps", "Time", "check_time"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_SAME_CHANGE = timedelta(hours=6)
"""Two ambiguous stamps nearer than this belong to the same clock change; those of one zone lie months apart."""


class Time(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When rows were: a `column` with `formats` (strptime, or "iso"), or `start` and `step_s` by row.

    `zone`: an IANA name, a fixed offset such as "+01:00", or "stamp" if each stamp carries its offset.
    `at`: the time of day of stamps that are dates only. Rows by step are that many elapsed seconds apart.
    """

    zone: str
    column: str = ""
    formats: tuple[str, ...] = ("iso",)
    start: str = ""
    step_s: Annotated[float, msgspec.Meta(ge=0)] = 0
    fold: Literal["order", "first", "second"] = "order"
    skipped: Literal["error", "before", "missing"] = "error"
    at: str = ""


class SkippedHourError(ValueError):
    """A local time that the clocks jumped over."""


def check_time(rule: Time) -> None:
    """Refuse a rule that contradicts itself. Raises ValueError."""
    if bool(rule.column) == bool(rule.start):
        raise ValueError("give either `column` or `start` with `step_s`")
    if rule.start and not rule.step_s > 0:
        raise ValueError("`start` needs a `step_s` above 0")
    if rule.start and rule.zone == "stamp":
        raise ValueError("`start` needs a zone of its own")
    if rule.column and not rule.formats:
        raise ValueError("`formats` is empty")
    zone_of(rule.zone)
    Stamps(rule)


class Stamps:
    """Turns the stamps of one source, in file order, into Unix milliseconds."""

    def __init__(self, rule: Time) -> None:
        self._rule = rule
        self._zone = zone_of(rule.zone)
        self._at = time.fromisoformat(rule.at) if rule.at else None
        self._passes: dict[object, tuple[datetime, int]] = {}
        self.ambiguous = 0
        """Stamps in a repeated hour that `fold` decided."""
        self._start = self._first() if rule.start else 0

    def by_row(self, row: int) -> int:
        """The instant of row 0, 1, 2 … of a source without stamps."""
        return self._start + round(row * self._rule.step_s * 1000)

    def instant(self, stamp: object, series: object = None) -> int:
        """Unix milliseconds of a stamp; `series` tells apart what a long file interleaves.

        Raises SkippedHourError, or ValueError with the reason.
        """
        moment = stamp if isinstance(stamp, datetime) else self._parse(str(stamp))
        if self._at is not None:
            moment = datetime.combine(moment.date(), self._at)
        if self._zone is None:
            if moment.tzinfo is None:
                raise ValueError(f'{stamp!r} carries no offset, but zone is "stamp"')
            return (moment - _EPOCH) // _MS
        if moment.tzinfo is not None:
            raise ValueError(f'{stamp!r} carries an offset; set zone to "stamp"')
        return (self._settle(moment, self._zone, series) - _EPOCH) // _MS

    def _first(self) -> int:
        try:
            return self.instant(datetime.fromisoformat(self._rule.start))
        except SkippedHourError as error:
            raise ValueError(f"start: {error}") from error

    def _parse(self, text: str) -> datetime:
        for form in self._rule.formats:
            try:
                return datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)  # noqa: DTZ007 - zones follow
            except ValueError:
                continue
        raise ValueError(f"{text!r} is not a time of the form {' or '.join(self._rule.formats)}")

    def _settle(self, local: datetime, zone: tzinfo, series: object) -> datetime:
        first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
        before, after = first.utcoffset() or timedelta(), second.utcoffset() or timedelta()
        if before == after:
            return first
        if before < after:
            if self._rule.skipped != "before":
                raise SkippedHourError(
                    f"{local} does not exist in {self._rule.zone}: the clocks jumped over it"
                )
            return local.replace(tzinfo=timezone(before))
        self.ambiguous += 1
        return local.replace(tzinfo=timezone((before, after)[self._fold(local, series)]))

    def _fold(self, local: datetime, series: object) -> int:
        if self._rule.fold != "order":
            return 0 if self._rule.fold == "first" else 1
        last, fold = self._passes.get(series, (local - _SAME_CHANGE, 0))
        if local - last >= _SAME_CHANGE:
            fold = 0
        elif local <= last:
            fold = 1
        self._passes[series] = (local, fold)
        return fold
