"""What the columns of a table mean: which device and datastream each holds, in which unit, and what is no value."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qytet_contract import records, topics
from qytet_contract.codes import ContractError
from qytet_edge.inbox.files.stamps import Passes, Stamps, Time
from qytet_edge.inbox.units import Conversion, conversion, tidy
from qytet_edge.records import Reading

__all__ = ["Column", "Row", "Table", "fixed_streams"]

_FIELD = re.compile(r"\{([^{}]+)\}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
Value = int | float | None


class Column(BaseModel):
    """One column (or all that `match` fits) and the datastream that it holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = Field(
        "", description="Name of the column; in JSON the path within a row, such as `main.temp`."
    )
    match: str = Field("", description="Regular expression for whole column names, instead of `column`.")
    device: str = Field(
        "",
        description="Device that the values belong to. `{column}` stands for the column's name, `{other}` for the "
        "row's text in the column `other`. Empty: the source's device.",
    )
    key: str = Field(
        description="Datastream: `property` of the catalogue or `property:channel`; the channel may hold `{…}` as "
        "`device` may."
    )
    unit: str = Field("", description="Unit of the column after scale and offset. Empty: the catalogue's.")
    scale: float = Field(1.0, description="The value is the column's number times this ...")
    offset: float = Field(0.0, description="... plus this.")
    missing: tuple[str | float, ...] = Field(
        (),
        description="Texts and numbers that say that there is no value (`NA`, -999): recorded as such. A blank cell "
        "is not recorded.",
    )

    @model_validator(mode="after")
    def _whole(self) -> "Column":
        if bool(self.column) == bool(self.match):
            raise ValueError("give either `column` or `match`")
        try:
            re.compile(self.match)
        except re.error as error:
            raise ValueError(f"match is not a regular expression: {error}") from error
        name, colon, channel = self.key.partition(":")
        conversion(name, self.unit)
        if not topics.is_slug(_FIELD.sub("x", self.device) or "x"):
            raise ValueError(f"device {self.device!r} is not a name of a-z, 0-9, - and _")
        try:
            records.check_key(name + colon + _FIELD.sub("x", channel))
        except ContractError as error:
            raise ValueError(f"key {self.key!r}: {error}") from error
        return self

    @property
    def fields(self) -> set[str]:
        """Names of other columns that device or key need."""
        return set(_FIELD.findall(self.device + self.key)) - {"column"}


class Row(NamedTuple):
    """What a row holds: readings (one a device), its instant (None: none of its own) and what was wrong in it."""

    readings: tuple[Reading, ...]
    t_ms: int | None
    wrong: tuple[str, ...] = ()


class _Cell(NamedTuple):
    at: int
    name: str
    spec: Column
    convert: Callable[[float], float]
    texts: frozenset[str]
    numbers: frozenset[float]


class Table:
    """Reads rows under one header. Raises ValueError at once if the header lacks a column that is asked for."""

    def __init__(
        self,
        header: Sequence[str],
        columns: Sequence[Column],
        time: Time | None,
        *,
        device: str,
        decimal: str = ".",
        passes: Passes | None = None,
    ) -> None:
        self._header = list(header)
        self._device = device
        self._decimal = decimal
        self._quality = time.quality if time else "none"
        self._stamps = Stamps(time, {} if passes is None else passes) if time else None
        self._time = [self._index(name) for name in time.columns] if time else []
        self._cells = [cell for column in columns for cell in self._bind(column)]
        names = set().union(*(column.fields for column in columns))
        self._named = {name: self._index(name) for name in sorted(names)}

    def row(self, cells: Sequence[Any]) -> Row:
        """The meaning of one row; a stamp that cannot be read costs the row, another cell only itself."""
        if len(cells) < len(self._header):
            return Row((), None, (f"{len(cells)} cells instead of {len(self._header)}",))
        named = {name: _text(cells[index]).strip().lower() for name, index in self._named.items()}
        try:
            t_ms = self._instant(cells, "\n".join(named.values()))
        except (ValueError, OverflowError, ContractError) as error:
            return Row((), None, (str(error),))
        values: dict[str, dict[str, Value]] = {}
        wrong: list[str] = []
        for cell in self._cells:
            try:
                self._take(cell, cells[cell.at], named, values)
            except (ValueError, OverflowError, ContractError) as error:
                wrong.append(f"column {cell.name}: {error}")
        readings = [
            Reading(device, part, t_ms, self._quality)
            for device, found in values.items()
            for part in _parts(found)
        ]
        return Row(tuple(readings), t_ms, tuple(wrong))

    def streams(self) -> dict[str, set[str]]:
        """Devices and keys that follow from the header alone."""
        found: dict[str, set[str]] = {}
        for cell in self._cells:
            if not cell.spec.fields:
                device, key = self._names(cell, {})
                found.setdefault(device, set()).add(key)
        return found

    def _index(self, name: str) -> int:
        if name not in self._header:
            raise ValueError(f"there is no column {name!r}; there are {', '.join(self._header)}"[:300])
        return self._header.index(name)

    def _bind(self, column: Column) -> Iterator[_Cell]:
        if column.column:
            names = [self._header[self._index(column.column)]]
        else:
            names = [name for name in self._header if re.fullmatch(column.match, name)]
            if not names:
                raise ValueError(f"there is no column that fits {column.match!r}")
        for name in names:
            yield _Cell(
                self._header.index(name),
                name,
                column,
                _converter(column),
                frozenset(text for text in column.missing if isinstance(text, str)),
                frozenset(float(number) for number in column.missing if not isinstance(number, str)),
            )

    def _instant(self, cells: Sequence[Any], series: str) -> int | None:
        if self._stamps is None:
            return None
        stamp = " ".join(_text(cells[index]).strip() for index in self._time)
        t_ms = self._stamps.instant(stamp, series)
        records.check_instant(t_ms, "the stamp")
        return t_ms

    def _take(
        self, cell: _Cell, raw: Any, named: dict[str, str], values: dict[str, dict[str, Value]]
    ) -> None:
        """Put a cell's value under its device and key; a blank cell is none. Raises ValueError."""
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            return
        value = self._value(cell, raw)
        device, key = self._names(cell, named)
        own = values.setdefault(device, {})
        if key in own:
            raise ValueError(f"another column holds {key} of {device}, too")
        own[key] = value

    def _value(self, cell: _Cell, raw: Any) -> Value:
        if isinstance(raw, str) and raw.strip() in cell.texts:
            return None
        plain = _number(raw, self._decimal)
        if plain in cell.numbers:
            return None
        value = cell.convert(plain)
        if not math.isfinite(value):
            raise ValueError(f"{raw!r} is beyond all numbers")
        return value

    def _names(self, cell: _Cell, named: dict[str, str]) -> tuple[str, str]:
        """Device and key of a cell. Raises ValueError or ContractError if what fills them in does not fit."""
        known = {**named, "column": cell.name}
        device = _fill(cell.spec.device, known) or self._device
        if not topics.is_slug(device):
            raise ValueError(f"{device[:64]!r} is no device's name (a-z, 0-9, - and _)")
        key = _fill(cell.spec.key, known)
        records.check_key(key)
        return device, key


def fixed_streams(columns: Sequence[Column], device: str) -> dict[str, list[str]]:
    """Devices and keys that follow from the configuration alone, without a header."""
    found: dict[str, list[str]] = {}
    for column in columns:
        if not _FIELD.search(column.device + column.key):
            found.setdefault(column.device or device, []).append(column.key)
    return found


def _converter(column: Column) -> Callable[[float], float]:
    """From the column's number to the catalogue's unit; a number that needs nothing stays as it is."""
    to_unit = conversion(column.key.partition(":")[0], column.unit)
    if to_unit == Conversion() and (column.scale, column.offset) == (1.0, 0.0):
        return lambda plain: plain
    return lambda plain: tidy(to_unit.apply(plain * column.scale + column.offset))


def _number(raw: Any, decimal: str) -> int | float:
    """The number that a cell holds: JSON's own, or a text of one. Raises ValueError."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError(f"{_text(raw)[:40]!r} is not a number")  # noqa: TRY004 - it is the file that is wrong
    if not isinstance(raw, str):
        return raw
    text = raw.strip()
    if decimal != ".":
        text = text.replace(decimal, ".", 1)
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{raw[:40]!r} is not a number")
    return int(text) if text.lstrip("+-").isdigit() and len(text) < 16 else float(text)


def _text(raw: Any) -> str:
    return raw if isinstance(raw, str) else "" if raw is None else str(raw)


def _fill(template: str, known: dict[str, str]) -> str:
    return _FIELD.sub(lambda found: known.get(found[1], found[0]), template) if template else ""


def _parts(found: dict[str, Value]) -> Iterator[dict[str, Value]]:
    """As many records as the contract's bound on values asks for."""
    items = list(found.items())
    for start in range(0, len(items), records.MAX_VALUES):
        yield dict(items[start : start + records.MAX_VALUES])
