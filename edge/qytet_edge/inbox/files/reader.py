"""From a CSV file's next lines to readings: headers wherever they stand, bad rows told by number, nothing twice.

Everything that a reader must know to go on after a crash is its `Progress`, which is kept with the readings.
A row with a time that is read again because its file was rewritten is recognised by that time. A header that lacks
a configured column stops nothing but its own file, and loses nothing: it is read when the configuration is mended.
"""

import csv
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

import msgspec

from qytet_edge.inbox.files.columns import Column, Table
from qytet_edge.inbox.files.place import Line, Piece, Place
from qytet_edge.inbox.files.stamps import Passes, Time
from qytet_edge.records import Reading

__all__ = ["Before", "Form", "Progress", "Rows", "Step", "decode", "encode"]

MOST_READINGS = 1000  # in one step, so in one transaction
MOST_TROUBLES = 20  # told of one step


class Form(NamedTuple):
    """How a file is written; `names`: its columns, if it has no header. `skip`: lines before the header."""

    columns: tuple[Column, ...]
    time: Time | None
    device: str
    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    comment: str = ""
    names: tuple[str, ...] = ()
    skip: int = 0


class Before(msgspec.Struct, frozen=True):
    """How far the generation before this one was read: whoever writes may hear of the rotation late."""

    place: Place
    header: tuple[str, ...]
    passes: Passes


class Progress(msgspec.Struct):
    """How far one file is read. `again`: its beginning may be known, up to the row of `last_ms` (the `same`th)."""

    place: Place | None = None
    header: tuple[str, ...] = ()
    passes: Passes = {}
    last_ms: int | None = None
    same: int = 0
    again: bool = False
    seen: int = 0
    bad: int = 0
    before: Before | None = None


class Step(NamedTuple):
    """What one look brought: readings, the progress to keep with them, what to tell, and whether more is there."""

    readings: list[Reading]
    progress: Progress
    changed: bool
    troubles: list[str]
    more: bool
    found: bool = True
    table: Table | None = None


_decoder = msgspec.json.Decoder(Progress)


def encode(progress: Progress) -> bytes:
    """The progress as a checkpoint."""
    return msgspec.json.encode(progress)


def decode(state: bytes | None) -> Progress:
    """The progress that a checkpoint holds; a new one without it."""
    return _decoder.decode(state) if state else Progress()


class Rows:
    """One reading of one file; `progress` moves on with it."""

    def __init__(self, name: str, progress: Progress, form: Form) -> None:
        self._name = name
        self._progress = progress
        self._form = form
        self._marks = {column.column for column in form.columns if column.column}
        self._marks |= set(form.time.columns) if form.time else set()
        self._table: Table | None = None
        self._troubles: list[str] = []
        self._readings: list[Reading] = []

    def read(self, file: BinaryIO, ino: int, *, quiet_s: float) -> Step:
        """Take lines until there are enough readings; left alone for `quiet_s`, the file's last needs no end.

        Raises AnotherFileError if the file is not that inode, or was cut since it was found.
        """
        progress = self._progress
        piece = Piece(file, progress.place or Place(), ino)
        begun = list(piece.lines(quiet_s))
        more, last = False, None
        try:
            self._table = self._bind(self._form.names or progress.header)
            if self._table is None:
                self._find_header(begun)
        except ValueError as error:
            return Step([], progress, changed=False, troubles=[f"{self._name}: {error}"], more=False)
        for line in begun:
            if len(self._readings) >= MOST_READINGS:
                more = True
                break
            self._line(line)
            last = line
        more = last is not None and (more or not piece.is_last)
        changed = last is not None or progress.place is None
        progress.place = piece.after(last)
        hidden = len(self._troubles) - MOST_TROUBLES
        told = self._troubles[:MOST_TROUBLES] + ([f"{self._name}: {hidden} more"] if hidden > 0 else [])
        return Step(self._readings, progress, changed, told, more, table=self._table)

    def _bind(self, header: Sequence[str]) -> Table | None:
        if not header:
            return None
        form = self._form
        return Table(
            header,
            form.columns,
            form.time,
            device=form.device,
            decimal=form.decimal,
            passes=self._progress.passes,
        )

    def _find_header(self, begun: list[Line]) -> None:
        """Bind the first line that can be the header. Raises ValueError if there are lines but none can."""
        why = ""
        for line in begun:
            if self._is_idle(line):
                continue
            try:
                header = self._cells(line)
                self._table = self._bind(header)
            except ValueError as error:
                why = why or f"line {line.number}: this header does not fit: {error}"
                continue
            self._progress.header = header
            self._header_at = line.number
            return
        if why:
            raise ValueError(why)

    _header_at = 0

    def _line(self, line: Line) -> None:
        progress = self._progress
        if not line.whole:
            self._wrong(line, "longer than a line can be")
            return
        if self._is_idle(line):
            return
        if line.number < self._header_at:
            self._wrong(line, "this is neither a header nor below one")
            return
        try:
            cells = self._cells(line)
            if self._is_header(cells):
                return
        except ValueError as error:
            self._wrong(line, str(error))
            return
        assert self._table is not None
        row = self._table.row(cells)
        for why in row.wrong:
            self._wrong(line, why)
        if row.t_ms is not None:
            if self._known(row.t_ms):
                return
            progress.same = progress.same + 1 if row.t_ms == progress.last_ms else 1
            progress.last_ms = row.t_ms
        self._readings += row.readings

    def _is_header(self, cells: tuple[str, ...]) -> bool:
        """Whether the row is a header, known or new; instruments write one at each start."""
        if cells == self._progress.header:
            return True
        if not self._marks or not self._marks <= set(cells):
            return False
        self._table = self._bind(cells)
        self._progress.header = cells
        return True

    def _known(self, t_ms: int) -> bool:
        """Whether a row that is read again was kept before its file was rewritten."""
        progress = self._progress
        if not progress.again or progress.last_ms is None:
            return False
        if t_ms < progress.last_ms:
            return True
        if t_ms == progress.last_ms and progress.seen < progress.same:
            progress.seen += 1
            return True
        progress.again = False
        return False

    def _cells(self, line: Line) -> tuple[str, ...]:
        try:
            text = line.text.decode(self._form.encoding)
            cells = next(csv.reader([text], delimiter=self._form.delimiter, strict=True))
        except (UnicodeDecodeError, csv.Error, StopIteration) as error:
            raise ValueError(f"this is no row: {error}") from error
        if line.number == 1 and cells:
            cells[0] = cells[0].removeprefix("\ufeff")
        return tuple(cell.strip() for cell in cells)

    def _is_idle(self, line: Line) -> bool:
        """Whether the line says nothing: above the header, a comment, or blank."""
        form = self._form
        comment = bool(form.comment) and line.text.startswith(form.comment.encode())
        return comment or line.number <= form.skip or not line.text.strip()

    def _wrong(self, line: Line, why: str) -> None:
        self._progress.bad += 1
        self._troubles.append(f"{self._name}, line {line.number}: {why}")
