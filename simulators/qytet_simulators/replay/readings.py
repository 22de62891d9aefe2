"""Rows to readings: which cell is which datastream, in which unit, and why a cell holds no value."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from qytet.errors import InputError
from qytet_simulators.replay import sources, units
from qytet_simulators.replay.account import Read
from qytet_simulators.replay.mapping import Column, Mapping, Source, fields_of, fill
from qytet_simulators.replay.stamps import SkippedHourError, Stamps

__all__ = ["Reading", "readings"]

_REMEMBERED = 4096


class Reading(NamedTuple):
    """One valid value in the catalogue's unit; `t` in Unix milliseconds."""

    device: str
    key: str
    t: int
    value: float


@dataclass(slots=True)
class _Cell:
    """Where one column's value lies in a row, and what it means."""

    index: int
    name: str
    spec: Column
    device: str
    key: str
    varies: bool
    texts: frozenset[str]
    numbers: frozenset[float]
    conditions: tuple[tuple[int, float | None, str], ...]
    convert: units.Convert


def readings(mapping: Mapping, data: Path, tally: Read) -> Iterator[Reading]:
    """All valid readings of a mapping's files, in file order; everything else is counted in `tally`.

    Raises InputError with file, line and column at the first cell that is neither a value nor declared missing.
    """
    for source in mapping.source:
        with sources.rows(source, data) as (header, rows):
            yield from _Reader(source, header, tally).read(rows)


class _Reader:
    """Reads the rows of one source."""

    def __init__(self, source: Source, header: list[str], tally: Read) -> None:
        self._source = source
        self._header = header
        self._tally = tally
        self._stamps = Stamps(source.time)
        self._time = self._index(source.time.column, "time.column") if source.time.column else None
        self._cells = self._bind()
        self._named = {
            name: self._index(name, "a template")
            for column in source.column
            for name in fields_of(column.device) + fields_of(column.key)
            if name != "column"
        }
        self._refuse_unmentioned()

    def read(self, rows: Iterator[sources.Row]) -> Iterator[Reading]:
        """The readings of these rows."""
        for count, (line, cells) in enumerate(rows):
            self._tally.rows += 1
            named = {name: str(cells[index]) for name, index in self._named.items()}
            try:
                t = self._instant(count, cells, tuple(named.values()))
                for cell in self._cells:
                    why = "skipped hour" if t is None else self._why_missing(cell, cells)
                    self._count(why)
                    if t is not None and not why:
                        yield self._reading(cell, named, t, self._value(cell, cells))
            except ValueError as error:
                raise InputError(
                    f"{self._source.path}, line {line}: {error}.",
                    do="If that is no value, name it under `missing` of its column; else mend the file.",
                ) from error
        self._tally.ambiguous_stamps += self._stamps.ambiguous

    def _instant(self, count: int, cells: list[Any], series: tuple[str, ...]) -> int | None:
        if self._time is None:
            return self._stamps.by_row(count)
        try:
            return self._stamps.instant(cells[self._time], series)
        except SkippedHourError:
            if self._source.time.skipped == "missing":
                return None
            raise

    def _count(self, missing: str) -> None:
        self._tally.cells += 1
        if missing:
            self._tally.missing[missing] += 1
        else:
            self._tally.valid += 1

    def _why_missing(self, cell: _Cell, cells: list[Any]) -> str:
        """The reason for which a cell holds no value, or "". Raises ValueError if it is no number either."""
        raw = cells[cell.index]
        if _is_blank(raw):
            return "blank"
        if isinstance(raw, str) and raw in cell.texts:
            return f"{raw!r} in {cell.spec.column or cell.spec.match}"
        if not cell.numbers and not cell.conditions:
            return ""
        plain = self._plain(cell, raw)
        if plain in cell.numbers:
            return f"{plain:g} in {cell.spec.column or cell.spec.match}"
        for other, only, reason in cell.conditions:
            if (only is None or only == plain) and _is_blank(cells[other]):
                return reason
        return ""

    def _plain(self, cell: _Cell, raw: Any) -> float:
        try:
            return float(units.number(raw, self._source.decimal))
        except (ValueError, TypeError) as error:
            raise ValueError(f"column {cell.name}: {error}") from error

    def _value(self, cell: _Cell, cells: list[Any]) -> float:
        try:
            return cell.convert(cells[cell.index])
        except (ValueError, TypeError) as error:
            raise ValueError(f"column {cell.name}: {error}") from error

    def _reading(self, cell: _Cell, named: dict[str, str], t: int, value: float) -> Reading:
        if not cell.varies:
            return Reading(cell.device, cell.key, t, value)
        values = {**named, "column": cell.name}
        return Reading(fill(cell.device, values), fill(cell.key, values), t, value)

    def _index(self, name: str, where: str) -> int:
        if name not in self._header:
            raise InputError(
                f"{self._source.path} has no column {name!r}, which {where} names.",
                why=f"It has: {', '.join(self._header)}"[:300],
            )
        return self._header.index(name)

    def _bind(self) -> list[_Cell]:
        cells: list[_Cell] = []
        for spec in self._source.column:
            if spec.column:
                names = [self._header[self._index(spec.column, "a [[source.column]]")]]
            else:
                names = [name for name in self._header if re.fullmatch(spec.match, name)]
                if not names:
                    raise InputError(f"{self._source.path} has no column that matches {spec.match!r}.")
            convert = self._converter(spec)
            cells += [self._cell(spec, name, convert) for name in names]
        return cells

    def _cell(self, spec: Column, name: str, convert: units.Convert) -> _Cell:
        others = set(fields_of(spec.device) + fields_of(spec.key)) - {"column"}
        own = {"column": name}
        return _Cell(
            index=self._header.index(name),
            name=name,
            spec=spec,
            device=spec.device if others else fill(spec.device, own),
            key=spec.key if others else fill(spec.key, own),
            varies=bool(others),
            texts=frozenset(text for text in spec.missing if isinstance(text, str)),
            numbers=frozenset(float(value) for value in spec.missing if not isinstance(value, str)),
            conditions=tuple(
                (self._index(rule.blank, "missing_when"), rule.value, rule.reason)
                for rule in spec.missing_when
            ),
            convert=convert,
        )

    def _converter(self, spec: Column) -> units.Convert:
        """From a cell to the catalogue's unit; remembered, as the same few readings come again and again."""
        convert, decimal = units.converter(spec.unit, spec.key.partition(":")[0]), self._source.decimal
        return lru_cache(_REMEMBERED)(lambda raw: convert(units.number(raw, decimal)))

    def _refuse_unmentioned(self) -> None:
        """Each column is mapped once or ignored with a reason; nothing of a recording is lost by oversight."""
        for name in self._source.ignored:
            self._index(name, "[source.ignored]")
        used = [cell.name for cell in self._cells]
        for name in used:
            if used.count(name) > 1 or name in self._source.ignored:
                raise InputError(
                    f"{self._source.path}: the column {name!r} is mapped twice, or mapped and ignored."
                )
        known = {*used, *self._source.ignored, *self._named, self._source.time.column}
        left = [name for name in self._header if name not in known]
        if left:
            raise InputError(
                f"{self._source.path}: the mapping does not mention {', '.join(left)}"[:300] + ".",
                do="Map each column, or name it under [source.ignored] with a reason.",
            )


def _is_blank(raw: Any) -> bool:
    """An empty cell, a null, or the NaN that a Parquet writer puts for one."""
    return raw is None or raw == "" or (isinstance(raw, str) and not raw.strip()) or raw != raw
