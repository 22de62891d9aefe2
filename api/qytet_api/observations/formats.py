"""How observations are written: JSON, NDJSON and CSV, a chunk at a time, each with its unit."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from qytet_api.observations.schemas import Format
from qytet_api.problems import ProblemError

__all__ = ["MEDIA_TYPES", "Writer", "chosen", "writer"]

MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.NDJSON: "application/x-ndjson",
    Format.CSV: "text/csv",
}
_WILDCARDS = {"*/*": Format.JSON, "application/*": Format.JSON, "text/*": Format.CSV}
_encode = msgspec.json.Encoder().encode


class Writer(Protocol):
    """Writes one answer: `head`, then `rows` for each chunk, then `tail`."""

    def head(self) -> bytes:
        """What stands before the rows."""

    def rows(self, rows: Sequence[dict[str, Any]]) -> bytes:
        """Some rows; at least one."""

    def tail(self, following: str | None) -> bytes:
        """What stands after the rows; `following` is the next page's address."""


def chosen(format_: Format | None, accept: str) -> Format:
    """What the caller wants: `format`, else the best of Accept. Raises ProblemError 406."""
    if format_ is not None:
        return format_
    if not accept.strip():
        return Format.JSON
    known = {media: name for name, media in MEDIA_TYPES.items()} | _WILDCARDS
    for media in _by_preference(accept):
        if media in known:
            return known[media]
    offered = ", ".join(MEDIA_TYPES.values())
    raise ProblemError(406, f"None of the accepted types is offered. Offered are: {offered}.")


def _by_preference(accept: str) -> list[str]:
    """Media types without parameters, best first; those with q=0 are left out."""
    ranked = []
    for part in accept.split(",")[:50]:
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                weight = _number(parameter[2:])
        if weight > 0:
            ranked.append((-weight, media))
    return [media for _, media in sorted(ranked, key=lambda item: item[0])]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def writer(format_: Format, stream: dict[str, Any], resolution: str, columns: Sequence[str]) -> Writer:
    """The writer of one answer; `columns` are the names of its rows, in order."""
    if format_ is Format.JSON:
        return _Json(stream, resolution)
    if format_ is Format.NDJSON:
        return _Ndjson(stream)
    return _Csv(stream, columns)


class _Json:
    def __init__(self, stream: dict[str, Any], resolution: str) -> None:
        self._stream = stream
        self._resolution = resolution
        self._begun = False

    def head(self) -> bytes:
        head = _encode({"datastream": self._stream, "resolution": self._resolution})
        return head[:-1] + b',"items":['

    def rows(self, rows: Sequence[dict[str, Any]]) -> bytes:
        text = _encode(rows)[1:-1]
        separator, self._begun = (b"," if self._begun else b""), True
        return separator + text

    def tail(self, following: str | None) -> bytes:
        return b'],"next":' + _encode(following) + b"}\n"


class _Ndjson:
    def __init__(self, stream: dict[str, Any]) -> None:
        self._same = {name: stream[name] for name in ("datastream_id", "key", "ucum")}

    def head(self) -> bytes:
        return b""

    def rows(self, rows: Sequence[dict[str, Any]]) -> bytes:
        return b"".join(_encode(self._same | row) + b"\n" for row in rows)

    def tail(self, _following: str | None) -> bytes:
        return b""


class _Csv:
    def __init__(self, stream: dict[str, Any], columns: Sequence[str]) -> None:
        self._same = [stream[name] for name in ("datastream_id", "key", "ucum")]
        self._columns = columns

    def head(self) -> bytes:
        return _csv([["datastream_id", "key", "ucum", *self._columns]])

    def rows(self, rows: Sequence[dict[str, Any]]) -> bytes:
        return _csv([[*self._same, *map(_cell, row.values())] for row in rows])

    def tail(self, _following: str | None) -> bytes:
        return b""


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return "" if value is None else value


def _csv(rows: list[list[Any]]) -> bytes:
    """RFC 4180, UTF-8, decimal points."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
