"""How far a growing file has been read, and which file that is after it was renamed, copied, cut or rewritten.

A place is an offset and a print of the bytes before it. It belongs to whatever file has these bytes: a file that
was written anew with all that it had is still the same; one that was renamed to make room for a fresh one is found
beside it and read to its end first. Whoever writes may do all this between any two looks of ours, so what a place
says is of the same bytes as the lines that were taken before it: those of one `Piece`.
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import msgspec

__all__ = ["AnotherFileError", "Found", "Line", "Piece", "Place", "find", "fits", "grown", "unread"]

PRINT = 256  # bytes, from the file's beginning and before the place
PIECE = 1 << 18  # bytes read at a time, and so the longest line
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
MOST_SIBLINGS = 100


class AnotherFileError(FileNotFoundError):
    """Between finding a file and reading it, it was rotated or cut; the next look finds what became of it."""


class Place(msgspec.Struct, frozen=True):
    """`off`: bytes that are done with; `line`: lines among them. `cut`: the rest of an overlong line follows.

    `since`: the file was begun after this (Unix ns), so any generation that was written to later is unread as long
    as nothing but a header was read here, which looks alike in all of them.
    """

    ino: int = 0
    since: int = 0
    off: int = 0
    line: int = 0
    head: str = ""
    tail: str = ""
    cut: bool = False


class Line(NamedTuple):
    """One line without its end; `after` is the offset behind it. `whole` is False for what is too long or only NULs."""

    number: int
    text: bytes
    after: int
    whole: bool = True


class Found(NamedTuple):
    """Where a place lies now.

    same      in the file of that name
    moved     in `path`, another file of the folder; a file of the old name may be there again
    replaced  nowhere: the file of that name is another one
    absent    nowhere, and there is no file of that name

    `ino`: the inode that was looked at; by now the path may lead to another one.
    """

    how: Literal["same", "moved", "replaced", "absent"]
    path: Path
    ino: int = 0


def find(path: Path, place: Place | None) -> Found:
    """Find what a place belongs to, beginning with the file `path`. Raises OSError if the folder cannot be read."""
    seen = _seen(path, place)
    if seen is None and not path.parent.is_dir():
        return Found("absent", path)
    here, ino = seen or (None, 0)
    if place is None or (here and ino == place.ino):
        return Found("absent" if here is None else "same", path, ino)
    for sibling, number in _siblings(path, place.ino):
        if here and number != place.ino:
            break  # written anew: the same beginning under the same name, and the old file is gone
        if fits(sibling, place):
            return Found("moved", sibling, number)
    if here or (here is False and place.off == 0):
        return Found("same", path, ino)
    return Found("absent" if here is None else "replaced", path, ino)


class Piece:
    """What a file holds from a place on, up to PIECE bytes, read in one go with the bytes before the place.

    Raises AnotherFileError if it is not the inode `ino`, or does not have those bytes before the place.
    """

    def __init__(self, file: BinaryIO, place: Place, ino: int) -> None:
        status = os.fstat(file.fileno())
        self._file, self._place = file, place
        self._ino, self._written = status.st_ino, status.st_mtime_ns
        start = max(0, place.off - PRINT)
        read = os.pread(file.fileno(), place.off - start + PIECE, start)
        self._before, self._data = read[: place.off - start], read[place.off - start :]
        if status.st_ino != ino or (place.off and _digest(self._before) != place.tail):
            raise AnotherFileError(errno.ENOENT, "this is another file by now", file.name)

    @property
    def is_last(self) -> bool:
        """Whether the file ends within it, as far as is known now."""
        return os.fstat(self._file.fileno()).st_size - self._place.off <= PIECE

    def lines(self, quiet_s: float) -> Iterator[Line]:
        """The lines that are complete; of a file that was left alone for `quiet_s` the last one needs no end."""
        data, place, at, number = self._data, self._place, 0, self._place.line
        skipping = place.cut
        while (end := data.find(b"\n", at)) >= 0:
            number += 1
            # NULs are what a power cut leaves of unwritten blocks.
            text = data[at:end].removesuffix(b"\r").lstrip(b"\0")
            yield Line(number, text, place.off + end + 1, not skipping)
            at, skipping = end + 1, False
        rest = data[at:]
        if at == 0 and len(data) == PIECE:
            if data.strip(b"\0"):
                yield Line(number, b"", place.off + PIECE, whole=False)
            elif not self._is_void():
                yield Line(number, b"\0", place.off + PIECE, whole=False)  # a hole: something follows it
        elif rest.strip(b"\0") and len(data) < PIECE and self._is_quiet(quiet_s):
            yield Line(number + 1, rest.strip(b"\0"), place.off + len(data), not skipping)

    def after(self, last: Line | None) -> Place:
        """The place behind a line (None: unchanged), with the prints of the bytes that were read."""
        place = self._place
        off = last.after if last else place.off
        cut = place.cut if last is None else not last.whole and not last.text and last.number == place.line
        read = self._before + self._data[: off - place.off]
        return Place(
            self._ino,
            place.since or self._written,
            off,
            last.number if last else place.line,
            place.head if place.off >= PRINT else _digest(read[:PRINT]),
            _digest(read[-PRINT:]),
            cut,
        )

    def _is_void(self) -> bool:
        """Whether the file's last piece is nothing but NULs."""
        size = os.fstat(self._file.fileno()).st_size
        return not os.pread(self._file.fileno(), PIECE, max(0, size - PIECE)).strip(b"\0")

    def _is_quiet(self, seconds: float) -> bool:
        """Whether nobody wrote to the file or renamed it for so long; what was read is all of it then.

        A program that writes its buffer in pieces may have left half a line long ago, and ends it when it hears
        of the rotation.
        """
        status = os.fstat(self._file.fileno())
        if status.st_mtime_ns != self._written:
            return False  # after it was read
        return time.time() - max(status.st_mtime, status.st_ctime) > seconds


def grown(path: Path, place: Place) -> Path | None:
    """Another file of the folder of `path` that this place belongs to, by inode and bytes, if it has more by now."""
    for found, status in _others(path) if path.parent.is_dir() else ():
        if status.st_ino == place.ino:
            return found if status.st_size > place.off and fits(found, place) else None
    return None


def unread(path: Path, since: int, done_with: int = 0) -> tuple[Place | None, tuple[str, ...]]:
    """The oldest generation of `path` that was written to after `since` (Unix ns), from its beginning; None: none.

    Generations are files named as `path` with something appended, but for the one with the inode `done_with`. Also
    the names of those that are compressed.
    """
    later = sorted(
        (status.st_mtime_ns, other.name, status.st_ino)
        for other, status in _others(path)
        if other.name.startswith(path.name) and status.st_ino != done_with and status.st_mtime_ns > since
    )
    packed = tuple(name for _age, name, _ino in later if name.endswith(_PACKED))
    plain = [ino for _age, name, ino in later if not name.endswith(_PACKED)]
    return (Place(plain[0], since) if plain else None), packed


def fits(path: Path, place: Place | None) -> bool | None:
    """Whether the file has the bytes before the place; None if there is no such file."""
    seen = _seen(path, place)
    return seen and seen[0]


def _seen(path: Path, place: Place | None) -> tuple[bool, int] | None:
    """As `fits`, and the inode of the file that was looked at."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if place is None:
                return True, status.st_ino
            if place.off == 0:
                return status.st_ino == place.ino, status.st_ino
            fits = (
                status.st_size >= place.off
                and _print(file, max(0, place.off - PRINT), place.off) == place.tail
                and _print(file, 0, min(PRINT, place.off)) == place.head
            )
            return fits, status.st_ino
    except (FileNotFoundError, IsADirectoryError):
        return None


def _siblings(path: Path, ino: int) -> list[tuple[Path, int]]:
    """Other files of the folder and their inodes: the one with this inode first, then the newest."""
    found = [
        (status.st_ino != ino, -status.st_mtime, other, status.st_ino) for other, status in _others(path)
    ]
    return [(sibling, number) for _other, _age, sibling, number in sorted(found)[:MOST_SIBLINGS]]


def _others(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Other files of the folder; one that goes away meanwhile is none."""
    with os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name != path.name and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    yield Path(entry.path), entry.stat()


def _print(file: BinaryIO, start: int, end: int) -> str:
    return _digest(os.pread(file.fileno(), end - start, start))


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
