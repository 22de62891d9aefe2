"""What can stand on a node's console when something is wrong, and what to do about it: the table `failures.toml`."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["ErrorNumber", "Failure", "decode", "error_numbers", "errors_in", "failures"]

_NUMBER = re.compile(r"(?:\[Errno |OSError: |\berror |no connection: )\(?(-?\d+)\b(?:\] ([A-Z]+))?")


@dataclass(frozen=True, slots=True)
class Failure:
    """One row: `see` are lines as they come; `level` is that of a line which names none itself."""

    id: str
    group: str
    title: str
    match: tuple[re.Pattern[str], ...]
    see: tuple[str, ...]
    why: str
    do: str
    level: str


@dataclass(frozen=True, slots=True)
class ErrorNumber:
    """A number of an OSError on an ESP32: newlib's and lwIP's, which are not Linux's."""

    number: int
    name: str
    means: str


@cache
def _table() -> dict[str, list[dict[str, object]]]:
    text = resources.files("qytet_bench").joinpath("failures.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def failures() -> tuple[Failure, ...]:
    """All rows; the first that fits counts."""
    return tuple(_failure(row) for row in _table()["failure"])


def _failure(row: dict[str, object]) -> Failure:
    return Failure(
        id=str(row["id"]),
        group=str(row["group"]),
        title=str(row["title"]),
        match=tuple(re.compile(pattern) for pattern in _texts(row["match"])),
        see=tuple(_texts(row["see"])),
        why=str(row["why"]),
        do=str(row["do"]),
        level=str(row.get("level", "error")),
    )


def _texts(value: object) -> Iterator[str]:
    assert isinstance(value, list)
    yield from map(str, value)


@cache
def error_numbers() -> dict[int, ErrorNumber]:
    """All error numbers that have words."""
    return {
        int(str(row["number"])): ErrorNumber(int(str(row["number"])), str(row["name"]), str(row["means"]))
        for row in _table()["error"]
    }


def decode(text: str) -> Failure | None:
    """The failure that a line or a traceback tells of; None if it tells of none that is known."""
    for row in failures():
        if any(pattern.search(text) for pattern in row.match):
            return row
    return None


def errors_in(text: str) -> list[ErrorNumber]:
    """The error numbers in a text, explained; a name that the board gives wins over the number's."""
    known = error_numbers()
    by_name = {row.name: row for row in known.values()}
    found = []
    for number, name in _NUMBER.findall(text):
        row = by_name.get(name) if name else known.get(int(number))
        if row is not None and row not in found:
            found.append(row)
    return found
