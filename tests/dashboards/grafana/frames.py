"""Grafana's data frames: what a query's rows become before a panel or an alert rule sees them.

Behaviour of the server side of the SQL datasources (`sqleng`) and of the plugin SDK's frames. PostgreSQL's types map
so: integers, floats and numeric are numbers; boolean is boolean; timestamps and dates are times; json is json; all
else is text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

NUMBER, TEXT, BOOLEAN, TIME, JSON = "number", "string", "boolean", "time", "other"
ROW_LIMIT = 1_000_000

_KINDS = {
    **dict.fromkeys(("int2", "int4", "int8", "float4", "float8", "numeric"), NUMBER),
    **dict.fromkeys(("timestamptz", "timestamp", "date"), TIME),
    **dict.fromkeys(("json", "jsonb"), JSON),
    "bool": BOOLEAN,
}
_NAMES = {
    16: "bool",
    20: "int8",
    21: "int2",
    23: "int4",
    114: "json",
    700: "float4",
    701: "float8",
    1082: "date",
    1114: "timestamp",
    1184: "timestamptz",
    1700: "numeric",
    3802: "jsonb",
}


class FrameError(ValueError):
    """Grafana would show this error instead of a panel."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column: its kind for Grafana, PostgreSQL's type, its values, and the labels of a series."""

    name: str
    kind: str
    type: str
    values: tuple[Any, ...]
    labels: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many rows."""
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Frame:
    """Columns of one length, and what Grafana passes over in silence."""

    fields: tuple[Field, ...]
    notices: tuple[str, ...] = ()
    ref_id: str = "A"

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.fields[0]) if self.fields else 0

    def of(self, *kinds: str) -> list[Field]:
        """The columns of these kinds."""
        return [one for one in self.fields if one.kind in kinds]

    def named(self, name: str) -> Field | None:
        """The first column of this name."""
        return next((one for one in self.fields if one.name == name), None)


def column(name: str, oid: int, values: Sequence[Any]) -> Field:
    """A column from PostgreSQL's type number and psycopg's values."""
    kind_of = _NAMES.get(oid, "text")
    kind = _KINDS.get(kind_of, TEXT)
    return Field(name, kind, kind_of, tuple(_value(kind, value) for value in values))


def _value(kind: str, value: Any) -> Any:
    if value is None or kind in (BOOLEAN, JSON):
        return value
    if kind == NUMBER:
        return float(value)
    if kind == TIME:
        return _instant(value)
    return str(value)


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise FrameError(f"{value!r} is no instant that Grafana can show")


def as_format(frame: Frame, form: str) -> Frame:
    """The frame as the query's format asks for it; anything but `table` is a time series.

    Raises:
        FrameError: Grafana would show an error.
    """
    if not frame.rows:
        return replace(frame, fields=())
    frame = _epochs(frame, ("time", "timeend") if form == "table" else ("time",))
    return frame if form == "table" else _series(frame)


def _epochs(frame: Frame, names: tuple[str, ...]) -> Frame:
    """Numbers in a column called time are seconds, milliseconds or nanoseconds since 1970."""
    fields = [
        replace(one, kind=TIME, values=tuple(_from_epoch(one, value) for value in one.values))
        if _is_time_name(one.name, names) and one.kind != TIME
        else one
        for one in frame.fields
    ]
    return replace(frame, fields=tuple(fields))


def _is_time_name(name: str, names: tuple[str, ...]) -> bool:
    return name == "time" or (name.lower() == "timeend" and "timeend" in names)


def _from_epoch(of: Field, value: Any) -> datetime | None:
    if value is None:
        return None
    if of.kind != NUMBER:
        raise FrameError("converting time columns failed: unable to convert data to a time field")
    if 1e9 <= abs(value) < 1e10:
        value *= 1e3
    elif 1e18 <= abs(value) < 1e19:
        value /= 1e6
    return datetime.fromtimestamp(int(value) / 1000, UTC)


def _series(frame: Frame) -> Frame:
    time = next(
        (rank for rank in reversed(range(len(frame.fields))) if frame.fields[rank].name == "time"), -1
    )
    if time < 0:
        raise FrameError("db has no time column: time column is missing")
    fields = [_as_float(one, rank == time) for rank, one in enumerate(frame.fields)]
    fields[time] = replace(fields[time], name="Time")
    frame = replace(frame, fields=tuple(fields))
    if shape(frame) != "long":
        return frame
    wide = long_to_wide(frame)
    return _named_by_metric(wide) if len(frame.fields) == 3 else wide


def _as_float(one: Field, is_time: bool) -> Field:
    if is_time or one.kind == TEXT or one.name == "metric":
        return one
    if one.kind == JSON:
        raise FrameError("convert value to float failed: json")
    if one.kind == TIME:
        return replace(one, kind=NUMBER, values=tuple(_milliseconds(value) for value in one.values))
    return replace(one, kind=NUMBER, values=tuple(None if v is None else float(v) for v in one.values))


def _milliseconds(value: datetime | None) -> float | None:
    return None if value is None else value.timestamp() * 1000


def shape(frame: Frame) -> str:
    """`not` a time series, `wide` (a column a series) or `long` (text columns tell the series apart)."""
    times = frame.of(TIME)
    if not times or len(frame.fields) - 1 - len(frame.of(TEXT, BOOLEAN)) == 0:
        return "not"
    return "long" if frame.of(TEXT, BOOLEAN) else "wide"


def long_to_wide(frame: Frame) -> Frame:
    """One column a value and set of labels; an instant that a series lacks is null there.

    Raises:
        FrameError: an instant is null, or earlier than the one before.
    """
    time = frame.of(TIME)[0]
    labels = frame.of(TEXT, BOOLEAN)
    values = [one for one in frame.fields if one is not time and one not in labels]
    instants: list[datetime] = []
    series: dict[tuple[int, tuple[str, ...]], dict[int, Any]] = {}
    doubled = False
    for row, at in enumerate(time.values):
        _advance(instants, at)
        key = tuple(_label(one.values[row]) for one in labels)
        for rank, one in enumerate(values):
            points = series.setdefault((rank, key), {})
            doubled |= len(instants) - 1 in points
            points[len(instants) - 1] = one.values[row]
    fields = [
        Field(
            values[rank].name,
            values[rank].kind,
            values[rank].type,
            tuple(points.get(place) for place in range(len(instants))),
            dict(zip((one.name for one in labels), key, strict=True)),
        )
        for (rank, key), points in sorted(
            series.items(), key=lambda item: (values[item[0][0]].name, item[0][1])
        )
    ]
    notices = (
        (*frame.notices, "two rows have the same time and labels: one is lost") if doubled else frame.notices
    )
    return replace(frame, fields=(replace(time, values=tuple(instants)), *fields), notices=notices)


def _advance(instants: list[datetime], at: datetime | None) -> None:
    if at is None:
        raise FrameError("can not convert to wide series, input has null time values")
    if instants and at < instants[-1]:
        raise FrameError("long series must be sorted ascending by time to be converted")
    if not instants or at > instants[-1]:
        instants.append(at)


def _label(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _named_by_metric(frame: Frame) -> Frame:
    """Three columns of which one is called metric: its text is the name of the series."""
    fields = [
        replace(one, name=one.labels["metric"], labels={}) if list(one.labels) == ["metric"] else one
        for one in frame.fields
    ]
    return replace(frame, fields=tuple(fields))
