"""When a row was: stamps as instruments write them, in a zone with its clock changes, to Unix milliseconds.

A local stamp within the repeated hour of autumn means two instants. `fold` says which: "order" takes the first
pass until the stamps of a series stop rising, then the second. What decides that (`passes`) is part of a source's
checkpoint, so that a restart within that hour changes nothing. A stamp within the skipped hour of spring means
none: it is refused, unless `skipped` says that the instrument's clock was simply not set forward in time.
"""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from qytet.zones import zone_of

__all__ = ["Passes", "Stamps", "Time"]

Passes = dict[str, tuple[str, int]]
"""By series: the last local stamp (ISO) that meant two instants, and which of them it was (0 or 1)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_SAME_CHANGE = timedelta(hours=6)
"""Two ambiguous stamps nearer than this belong to the same clock change; those of one zone lie months apart."""
_UNIX = {"unix": 1000.0, "unix_ms": 1.0}


class Time(BaseModel):
    """When rows were, by the instrument's own clock."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str | tuple[str, ...] = Field(
        description="Column of the stamp, or several (date and time) that are joined by a space."
    )
    format: str = Field(
        "iso",
        description='"iso", "unix" (seconds), "unix_ms", or a strptime pattern such as "%d/%m/%Y %H:%M:%S".',
    )
    zone: str = Field(
        "stamp",
        description='Zone of stamps without an offset: an IANA name ("Europe/Tirane"), a fixed offset ("+01:00"), '
        'or "stamp" if each carries its own.',
    )
    fold: Literal["order", "first", "second"] = Field(
        "order",
        description="Which pass of the repeated autumn hour a stamp means; order: as the stamps rise.",
    )
    skipped: Literal["refuse", "before"] = Field(
        "refuse",
        description="A stamp in the skipped spring hour: refused, or read as if the clock had not been set forward.",
    )
    quality: Literal["rtc", "ntp", "gnss", "host"] = Field(
        "rtc", description="How the instrument knows the time (`tq` of its records)."
    )

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        zone_of(zone)
        return zone

    @model_validator(mode="after")
    def _whole(self) -> "Time":
        if not self.columns:
            raise ValueError("column must name at least one column")
        if self.format in _UNIX and self.zone != "stamp":
            raise ValueError("Unix time has no zone: leave `zone` away")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that make up a stamp."""
        return (self.column,) if isinstance(self.column, str) else self.column


class Stamps:
    """Turns the stamps of one file, in its order, into Unix milliseconds; `passes` is read and changed."""

    def __init__(self, rule: Time, passes: Passes) -> None:
        self._rule = rule
        self._zone = zone_of(rule.zone)
        self._passes = passes

    def instant(self, stamp: str, series: str = "") -> int:
        """Unix milliseconds of a stamp; `series` tells apart what a long file interleaves. Raises ValueError."""
        scale = _UNIX.get(self._rule.format)
        if scale is not None:
            return _unix(stamp, scale)
        moment = self._parse(stamp)
        if moment.tzinfo is None:
            if self._zone is None:
                raise ValueError(f"the stamp {stamp!r} carries no offset, and no zone is configured")
            moment = self._settle(moment, self._zone, series)
        return (moment - _EPOCH) // _MS

    def _parse(self, text: str) -> datetime:
        form = self._rule.format
        try:
            return datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)  # noqa: DTZ007
        except ValueError:
            raise ValueError(f"{text[:40]!r} is not a time of the form {form}") from None

    def _settle(self, local: datetime, zone: tzinfo, series: str) -> datetime:
        first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
        before, after = first.utcoffset() or timedelta(), second.utcoffset() or timedelta()
        if before == after:
            self._forget(local)
            return first
        if before < after:
            if self._rule.skipped == "refuse":
                raise ValueError(
                    f"{local} does not exist in {self._rule.zone}, whose clocks jumped over it; if the instrument's "
                    "do not, give a fixed offset as zone"
                )
            return local.replace(tzinfo=timezone(before))
        return local.replace(tzinfo=timezone((before, after)[self._fold(local, series)]))

    def _fold(self, local: datetime, series: str) -> int:
        if self._rule.fold != "order":
            return 0 if self._rule.fold == "first" else 1
        text, fold = self._passes.get(series, ("", 0))
        last = datetime.fromisoformat(text) if text else None
        if last is None or abs(local - last) >= _SAME_CHANGE:
            fold = 0
        elif local <= last:
            fold = 1
        self._passes[series] = (local.isoformat(), fold)
        return fold

    def _forget(self, local: datetime) -> None:
        """An hour that is over needs no memory."""
        for series, (text, _fold) in list(self._passes.items()):
            if abs(local - datetime.fromisoformat(text)) >= _SAME_CHANGE:
                del self._passes[series]


def _unix(text: str, scale: float) -> int:
    try:
        return round(float(text) * scale)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is not a time in numbers") from None
