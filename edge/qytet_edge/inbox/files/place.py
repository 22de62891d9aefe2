"""How far a growing file has been read, and which file that is after it was renamed, copied, cut or rewritten.

A place is an offset and a print of the bytes before it. It belongs to whatever file has these bytes: a file that
was written anew with all that it had is still the same; one that was renamed to make room for a fresh one is found
beside it and read to its end first.
"""

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import msgspec

__all__ = ["Found", "Line", "Place", "after", "find", "lines", "next_generation"]

PRINT = 256  # bytes, from the file's beginning and before the place
PIECE = 1 << 18  # bytes read at a time, and so the longest line
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
MOST_SIBLINGS = 100


class Place(msgspec.Struct, frozen=True):
    """`off`: bytes that are done with; `line`: lines among them. `cut`: the rest of an overlong line follows."""

    ino: int = 0
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
    """

    how: Literal["same", "moved", "replaced", "absent"]
    path: Path


def find(path: Path, place: Place | None) -> Found:
    """Find what a place belongs to, beginning with the file `path`. Raises OSError if the folder cannot be read."""
    here = _fits(path, place)
    if here:
        return Found("same", path)
    if here is None and not path.parent.is_dir():
        return Found("absent", path)
    if place is not None:
        for sibling in _siblings(path, place.ino):
            if _fits(sibling, place):
                return Found("moved", sibling)
        if here is False and place.off == 0:
            return Found("same", path)  # nothing was read of the other one, and it is gone
    return Found("absent" if here is None else "replaced", path)


def lines(file: BinaryIO, place: Place, *, final: bool) -> Iterator[Line]:
    """The lines from a place on that are complete, within one piece; `final`: the file's last one needs no end."""
    data = os.pread(file.fileno(), PIECE, place.off)
    at, number = 0, place.line
    skipping = place.cut
    while (end := data.find(b"\n", at)) >= 0:
        number += 1
        text = (
            data[at:end].removesuffix(b"\r").lstrip(b"\0")
        )  # NULs: what a power cut leaves of unwritten blocks
        yield Line(number, text, place.off + end + 1, not skipping)
        at, skipping = end + 1, False
    rest = data[at:]
    if at == 0 and len(data) == PIECE:
        if data.strip(b"\0"):
            yield Line(number, b"", place.off + PIECE, whole=False)
        elif os.pread(file.fileno(), PIECE, max(0, os.fstat(file.fileno()).st_size - PIECE)).strip(b"\0"):
            yield Line(number, b"\0", place.off + PIECE, whole=False)  # a hole: something follows it
    elif final and rest.strip(b"\0") and len(data) < PIECE:
        yield Line(number + 1, rest.strip(b"\0"), place.off + len(data), not skipping)


def after(file: BinaryIO, place: Place, last: Line | None) -> Place:
    """The place behind a line (None: unchanged), with the prints of the file as it is."""
    off = last.after if last else place.off
    cut = place.cut if last is None else not last.whole and not last.text and last.number == place.line
    return Place(
        os.fstat(file.fileno()).st_ino,
        off,
        last.number if last else place.line,
        _print(file, 0, min(PRINT, off)),
        _print(file, max(0, off - PRINT), off),
        cut,
    )


def next_generation(path: Path, done: Path) -> tuple[Place | None, tuple[str, ...]]:
    """Where to go on when `done`, which once bore the name `path`, is read to its end.

    A file that was renamed after it and before `path` was begun comes first; None: `path` itself does. Also the
    names of later generations that are compressed, and so cannot be read.
    """
    finished = done.stat()
    with os.scandir(path.parent) as entries:
        later = sorted(
            (entry.stat().st_mtime_ns, entry.name, entry.inode())
            for entry in entries
            if entry.name.startswith(path.name)
            and entry.name != path.name
            and entry.is_file(follow_symlinks=False)
            and entry.stat().st_mtime_ns > finished.st_mtime_ns
            and entry.inode() != finished.st_ino
        )
    packed = tuple(name for _age, name, _ino in later if name.endswith(_PACKED))
    plain = [ino for _age, name, ino in later if not name.endswith(_PACKED)]
    return (Place(plain[0]) if plain else None), packed


def _fits(path: Path, place: Place | None) -> bool | None:
    """Whether the file has the bytes before the place; None if there is no such file."""
    try:
        with path.open("rb") as file:
            if place is None:
                return True
            status = os.fstat(file.fileno())
            if place.off == 0:
                return status.st_ino == place.ino
            return (
                status.st_size >= place.off
                and _print(file, max(0, place.off - PRINT), place.off) == place.tail
                and _print(file, 0, min(PRINT, place.off)) == place.head
            )
    except (FileNotFoundError, IsADirectoryError):
        return None


def _siblings(path: Path, ino: int) -> list[Path]:
    """Other files of the folder: the one with this inode first, then the newest."""
    with os.scandir(path.parent) as entries:
        found = [
            (entry.inode() != ino, -entry.stat().st_mtime, Path(entry.path))
            for entry in entries
            if entry.is_file(follow_symlinks=False) and entry.name != path.name
        ]
    return [sibling for _other, _age, sibling in sorted(found)[:MOST_SIBLINGS]]


def _print(file: BinaryIO, start: int, end: int) -> str:
    return blake2b(os.pread(file.fileno(), end - start, start), digest_size=8).hexdigest()
