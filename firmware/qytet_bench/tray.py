"""devices.csv, the list of a tray of boards: checked whole before any board is touched, all mistakes told at once."""

import csv
import io
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qytet.errors import InputError
from qytet_bench import firmware
from qytet_bench.node import NodeSettings, node
from qytet_bench.settings import BenchSettings
from qytet_bench.vault import Vault

__all__ = ["COLUMNS", "Row", "TrayError", "read"]

COLUMNS = ("device", "city", "site", "profile", "board", "password", "notes")
"""Only `device` is needed; what is empty stands in bench.toml. `notes` is for people."""
_MOST_BYTES = 4 << 20
_SHOWN = 20


class TrayError(InputError):
    """`mistakes`: line of the file (from 1) and what is wrong there."""

    def __init__(self, path: Path, mistakes: Sequence[tuple[int, str]]) -> None:
        self.mistakes = list(mistakes)
        shown = [f"line {line}: {text}" for line, text in mistakes[:_SHOWN]]
        if len(mistakes) > _SHOWN:
            shown.append(f"and {len(mistakes) - _SHOWN} more")
        super().__init__(
            f"{path} has {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}; no board was touched.",
            why="\n       ".join(shown),
            do="Mend the file and run the command again.",
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A device of the tray; `line` is where it stands."""

    line: int
    node: NodeSettings
    password: str = field(repr=False)
    notes: str = ""


def read(path: Path, common: BenchSettings) -> list[Row]:
    """The rows. Raises TrayError with every mistake, InputError if there is no such file."""
    lines, mistakes = _cells(path)
    rows: list[Row] = []
    for line, cells in lines:
        try:
            rows.append(_row(line, cells, common))
        except InputError as error:
            mistakes.append((line, f"{error.what} {error.why}".strip()))
    mistakes += _twice(lines)
    mistakes += _images(rows, common)
    if not lines and not mistakes:
        mistakes.append((1, "There is no device in it."))
    if mistakes:
        raise TrayError(path, sorted(mistakes))
    if any(row.password for row in rows):
        _private(path)
    return rows


def _cells(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[tuple[int, str]]]:
    """Line and cells of each row that is not empty, and what is wrong with the table itself."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True, delimiter=_delimiter(path))
    found: list[tuple[int, dict[str, str]]] = []
    mistakes: list[tuple[int, str]] = []
    header: list[str] = []
    try:
        for cells in _stripped(reader):
            if not header:
                header = [cell.lower() for cell in cells]
                mistakes += [(reader.line_num, text) for text in _header(header)]
            elif len(cells) > len(header):
                mistakes.append(
                    (reader.line_num, f"It has {len(cells)} cells, the first line {len(header)}.")
                )
            else:
                found.append((reader.line_num, dict(zip(header, cells, strict=False))))
    except csv.Error as error:
        mistakes.append((reader.line_num, f"It is no CSV: {error}."))
    return found, mistakes


def _stripped(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield stripped


def _header(header: Sequence[str]) -> Iterator[str]:
    for name in header:
        if name not in COLUMNS:
            yield f"Nobody knows what the column {name!r} is; there are: {', '.join(COLUMNS)}."
    if len(set(header)) != len(header):
        yield "A column stands there twice."
    if "device" not in header:
        yield "The column device is missing."


def _row(line: int, cells: dict[str, str], common: BenchSettings) -> Row:
    device = cells.get("device", "")
    if not device:
        raise InputError("It names no device.")
    named = {name: cells.get(name, "") for name in ("city", "site", "profile", "board")}
    password = cells.get("password", "")
    if password:
        Vault(common.path(common.vault)).check(device, password)
    return Row(line, node(common, device, **named), password, cells.get("notes", ""))


def _twice(lines: Sequence[tuple[int, dict[str, str]]]) -> Iterator[tuple[int, str]]:
    """Names and passwords that stand in two lines."""
    for column, text in (
        ("device", "{} stands in line {} already."),
        ("password", "It has the password of line {1}."),
    ):
        first: dict[str, int] = {}
        for line, cells in lines:
            value = cells.get(column, "")
            if value and value in first:
                yield line, text.format(value, first[value])
            first.setdefault(value, line)


def _images(rows: Sequence[Row], common: BenchSettings) -> Iterator[tuple[int, str]]:
    """Chips whose MicroPython image cannot be used, at the first line that needs it."""
    seen = set()
    for row in rows:
        chip = row.node.kind.chip
        if chip not in seen:
            seen.add(chip)
            try:
                firmware.load(common, chip)
            except InputError as error:
                yield row.line, f"{error.what} {error.why}".strip()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read.", why=str(error.strerror)) from error
    if len(content) > _MOST_BYTES:
        raise InputError(f"{path} is no list of devices.", why=f"It is larger than {_MOST_BYTES >> 20} MB.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise TrayError(path, [(line, "It is no UTF-8; save the file as CSV UTF-8.")]) from None


def _delimiter(path: Path) -> str:
    """Spreadsheets in Albanian, as in most of Europe, write semicolons."""
    first = _text(path).partition("\n")[0]
    return ";" if first.count(";") > first.count(",") else ","


def _private(path: Path) -> None:
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(f"Others may read {path}.", why="It holds passwords.", do=f"Run: chmod 600 '{path}'")
