"""Macros: what the server side of Grafana's PostgreSQL datasource puts in the place of `$__timeFilter(t)` and the like.

A macro's arguments end at the first closing parenthesis, wherever that is. `$__timeGroup(…)` directly before a comma
names its column, as it did before Grafana 5.3.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from tests.dashboards.grafana import interval

_MACRO = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")


class MacroError(ValueError):
    """Grafana would refuse the query."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From and to, with the milliseconds that a browser sends."""

    since: datetime
    till: datetime

    @property
    def milliseconds(self) -> tuple[int, int]:
        """Both in Unix milliseconds."""
        return _nanoseconds(self.since) // 1_000_000, _nanoseconds(self.till) // 1_000_000


@dataclass(frozen=True, slots=True)
class Fill:
    """What a third argument of `$__timeGroup` asks for: points at every interval, gaps filled."""

    seconds: float
    mode: str
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Expanded:
    """SQL as the server runs it, and how gaps are filled."""

    sql: str
    fill: Fill | None = None


def expand(sql: str, span: TimeRange, interval_ms: int = 60_000, *, timescale: bool = False) -> Expanded:
    """The server's substitutions over a whole query; `timescale` as the datasource is set.

    Raises:
        MacroError: an unknown macro, or arguments that it does not take.
    """
    sql = _everywhere(sql, span, interval_ms)
    engine = _Engine(span, timescale)

    def put(found: re.Match[str]) -> str:
        name = found[1]
        first = sql.find(found[0]) + len(found[0])
        if name == "__timeGroup" and sql[first : first + 1] == ",":
            name = "__timeGroupAlias"
        return engine.evaluate(name, [argument.strip(" ") for argument in found[2].split(",")])

    expanded = _MACRO.sub(put, sql)
    return Expanded(expanded, engine.fill)


def _everywhere(sql: str, span: TimeRange, interval_ms: int) -> str:
    """The substitutions that all SQL datasources share: of text, wherever it stands."""
    since, till = (at // 1000 for at in span.milliseconds)
    for name, value in (
        ("$__interval_ms", str(interval_ms)),
        ("$__interval", interval.formatted(interval_ms)),
        ("$__unixEpochFrom()", str(since)),
        ("$__unixEpochTo()", str(till)),
    ):
        sql = sql.replace(name, value)
    return sql


class _Engine:
    """The macros of one query."""

    def __init__(self, span: TimeRange, timescale: bool) -> None:
        self._span = span
        self._timescale = timescale
        self.fill: Fill | None = None
        self._known: dict[str, Callable[[list[str]], str]] = {
            "__time": lambda a: f'{a[0]} AS "time"',
            "__timeEpoch": lambda a: f'extract(epoch from {a[0]}) as "time"',
            "__timeFilter": lambda a: f"{a[0]} BETWEEN '{rfc3339(span.since)}' AND '{rfc3339(span.till)}'",
            "__timeFrom": lambda _: f"'{rfc3339(span.since)}'",
            "__timeTo": lambda _: f"'{rfc3339(span.till)}'",
            "__timeGroup": self._time_group,
            "__timeGroupAlias": lambda a: self._time_group(a) + ' AS "time"',
            "__unixEpochFilter": lambda a: self._epoch_filter(a[0], 1_000_000_000),
            "__unixEpochNanoFilter": lambda a: self._epoch_filter(a[0], 1),
            "__unixEpochNanoFrom": lambda _: str(_nanoseconds(span.since)),
            "__unixEpochNanoTo": lambda _: str(_nanoseconds(span.till)),
            "__unixEpochGroup": self._epoch_group,
            "__unixEpochGroupAlias": lambda a: self._epoch_group(a) + ' AS "time"',
        }

    def evaluate(self, name: str, arguments: list[str]) -> str:
        if (macro := self._known.get(name)) is None:
            raise MacroError(f'unknown macro "{name}"')
        return macro(arguments)

    def _time_group(self, arguments: list[str]) -> str:
        seconds = self._seconds("__timeGroup", arguments)
        if self._timescale:
            return f"time_bucket('{seconds:.3f}s',{arguments[0]})"
        return f"floor(extract(epoch from {arguments[0]})/{go_number(seconds)})*{go_number(seconds)}"

    def _epoch_group(self, arguments: list[str]) -> str:
        seconds = go_number(self._seconds("__unixEpochGroup", arguments))
        return f"floor(({arguments[0]})/{seconds})*{seconds}"

    def _epoch_filter(self, column: str, unit: int) -> str:
        since, till = _nanoseconds(self._span.since) // unit, _nanoseconds(self._span.till) // unit
        return f"{column} >= {since} AND {column} <= {till}"

    def _seconds(self, name: str, arguments: list[str]) -> float:
        if len(arguments) < 2:
            raise MacroError(f"macro {name} needs time column and interval and optional fill value")
        try:
            seconds = interval.parsed(arguments[1].strip("'")).total_seconds()
        except ValueError as error:
            raise MacroError(str(error)) from error
        if len(arguments) == 3:
            self.fill = _fill(seconds, arguments[2])
        return seconds


def _fill(seconds: float, mode: str) -> Fill:
    if mode in ("NULL", "previous"):
        return Fill(seconds, mode.lower())
    try:
        return Fill(seconds, "value", float(mode))
    except ValueError as error:
        raise MacroError(f"error parsing fill value {mode}") from error


def rfc3339(at: datetime) -> str:
    """An instant in UTC with no more digits of a second than it has."""
    text = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{at.microsecond:06d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def go_number(number: float) -> str:
    """A float as Go's %v prints it: the shortest digits, an exponent below 1e-4 and from 1e6 on."""
    digits = Decimal(repr(number)).normalize()
    exponent = digits.adjusted()
    if number and not -4 <= exponent < 6:
        whole, _, rest = f"{digits:E}".partition("E")
        return f"{whole}e{'-' if exponent < 0 else '+'}{abs(int(rest)):02d}"
    return f"{digits:f}"


def _nanoseconds(at: datetime) -> int:
    whole = int(at.astimezone(UTC).replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + at.microsecond * 1000


def without_comments(sql: str) -> str:
    """What Grafana 12 leaves of a query: comments outside quotes go, before any macro is looked for."""
    return _COMMENT.sub(lambda found: "" if found["comment"] is not None else found[0], sql)


_COMMENT = re.compile(
    r"""'(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z) | (?P<tag>\$(?:[A-Za-z_][A-Za-z0-9_]*)?\$).*?(?:(?P=tag)|\Z)
    | (?P<comment>/\*.*?(?:\*/|\Z) | --[^\n]*)""",
    re.VERBOSE | re.DOTALL,
)
