"""What a fetched page says: rows of JSON or CSV to readings, of which only those that are new are kept.

With a time in each row a value is new if its datastream has none so late yet; without one, each page is a
measurement made now, with one value a datastream.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from qytet_edge.inbox.files.columns import Column, Table
from qytet_edge.inbox.files.stamps import Time
from qytet_edge.records import Reading

__all__ = ["Kept", "Page", "Shape", "read_page"]

MOST_TROUBLES = 20
MOST_DEVICES = 2000
"""Devices of a page whose last instants are remembered; those silent longest make room."""


class Shape(NamedTuple):
    """How a page is written: `rows` is the path to its rows in JSON ("" for the whole)."""

    columns: tuple[Column, ...]
    time: Time | None
    device: str
    form: str
    rows: str = ""
    delimiter: str = ","
    decimal: str = "."


class Kept(msgspec.Struct):
    """What is known of earlier pages: the checkpoint. `last`: by device and key, the latest instant (Unix ms)."""

    etag: str = ""
    modified: str = ""
    last: dict[str, dict[str, int]] = {}


class Page(NamedTuple):
    """New readings in the order of time, what was wrong, and how many rows could be read."""

    readings: list[Reading]
    troubles: list[str]
    rows: int


def read_page(body: bytes, shape: Shape, kept: Kept) -> Page:
    """The new readings of a page; `kept.last` moves on with them. Raises ValueError if it is no such page."""
    troubles: list[str] = []
    found: dict[tuple[str, int | None], dict[str, Any]] = {}
    count = 0
    for number, (table, cells) in enumerate(_rows(body, shape), 1):
        row = table.row(cells)
        count += not row.wrong
        troubles += [f"row {number}: {why}" for why in row.wrong]
        for reading in row.readings:
            values = found.setdefault((reading.device, reading.t_ms), {})
            doubled = sorted(values.keys() & reading.values.keys())
            if doubled:
                troubles.append(f"row {number}: {reading.device} has another {doubled[0]} at the same time")
            values.update({key: value for key, value in reading.values.items() if key not in values})
    quality = shape.time.quality if shape.time else "none"
    readings = [
        Reading(device, values, t_ms, quality) for (device, t_ms), values in _by_time(_new(found, kept))
    ]
    return Page(readings, troubles[:MOST_TROUBLES], count)


def _new(
    found: dict[tuple[str, int | None], dict[str, Any]], kept: Kept
) -> dict[tuple[str, int | None], dict[str, Any]]:
    """What is later than all that was kept of its datastream before this page."""
    new: dict[tuple[str, int | None], dict[str, Any]] = {}
    latest: dict[tuple[str, str], int] = {}
    for (device, t_ms), values in found.items():
        known = kept.last.get(device, {})
        fresh = {key: value for key, value in values.items() if t_ms is None or t_ms > known.get(key, 0)}
        if fresh:
            new[device, t_ms] = fresh
        for key in fresh if t_ms is not None else ():
            latest[device, key] = max(t_ms or 0, latest.get((device, key), 0))
    for (device, key), t_ms in latest.items():
        kept.last.setdefault(device, {})[key] = t_ms
    for device in sorted(kept.last, key=lambda name: max(kept.last[name].values()))[:-MOST_DEVICES]:
        del kept.last[device]
    return new


def _by_time(
    found: dict[tuple[str, int | None], dict[str, Any]],
) -> list[tuple[tuple[str, int | None], dict[str, Any]]]:
    return sorted(found.items(), key=lambda item: item[0][1] or 0)


def _rows(body: bytes, shape: Shape) -> Iterator[tuple[Table, Sequence[Any]]]:
    return _csv_rows(body, shape) if shape.form == "csv" else _json_rows(body, shape)


def _csv_rows(body: bytes, shape: Shape) -> Iterator[tuple[Table, Sequence[Any]]]:
    try:
        text = body.decode("utf-8-sig")
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=shape.delimiter, strict=True)
        header = [name.strip() for name in next(rows, [])]
        table = _table(header, shape)
        for cells in rows:
            if cells:
                yield table, [cell.strip() for cell in cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"the answer is no CSV: {error}") from error


def _json_rows(body: bytes, shape: Shape) -> Iterator[tuple[Table, Sequence[Any]]]:
    try:
        page = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the answer is no JSON: {error}") from error
    rows = _at(page, shape.rows)
    if rows is None:
        raise ValueError(f"the answer has nothing at {shape.rows!r}")
    rows = rows if isinstance(rows, list) else [rows]
    header = _header(shape, rows)
    table = _table(header, shape)
    for row in rows:
        yield table, [_at(row, name) for name in header]


def _table(header: list[str], shape: Shape) -> Table:
    return Table(header, shape.columns, shape.time, device=shape.device, decimal=shape.decimal)


def _header(shape: Shape, rows: list[Any]) -> list[str]:
    """The paths that the configuration names; if it has a pattern, also every key of a row."""
    names: dict[str, None] = dict.fromkeys(shape.time.columns if shape.time else ())
    for column in shape.columns:
        names.update(dict.fromkeys([column.column] if column.column else []))
        names.update(dict.fromkeys(sorted(column.fields)))
    if any(column.match for column in shape.columns):
        for row in rows:
            names.update(dict.fromkeys(row if isinstance(row, dict) else ()))
    return list(names)


def _at(value: Any, path: str) -> Any:
    """What lies at a dotted path (numbers count from 0 in a list); None if nothing does."""
    if isinstance(value, dict) and path in value:
        return value[path]
    for part in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
