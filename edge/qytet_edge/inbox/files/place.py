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

__all__ = ["Found", "Line", "Place", "after", "find", "fits", "grown", "lines", "unread"]

PRINT = 256  # bytes, from the file's beginning and before the place
PIECE = 1 << 18  # bytes read at a time, and so the longest line
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
MOST_SIBLINGS = 100


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
    """

    how: Literal["same", "moved", "replaced", "absent"]
    path: Path


def find(path: Path, place: Place | None) -> Found:
    """Find what a place belongs to, beginning with the file `path`. Raises OSError if the folder cannot be read."""
    here = fits(path, place)
    if here is None and not path.parent.is_dir():
        return Found("absent", path)
    if place is None or (here and path.stat().st_ino == place.ino):
        return Found("absent" if here is None else "same", path)
    for sibling, ino in _siblings(path, place.ino):
        if here and ino != place.ino:
            break  # written anew: the same beginning under the same name, and the old file is gone
        if fits(sibling, place):
            return Found("moved", sibling)
    if here or (here is False and place.off == 0):
        return Found("same", path)
    return Found("absent" if here is None else "replaced", path)


def lines(file: BinaryIO, place: Place, *, final: bool) -> Iterator[Line]:
    """The lines from a place on that are complete, within one piece; `final`: the file's last one needs no end."""
    data = os.pread(file.fileno(), PIECE, place.off)
    at, number = 0, place.line
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
        elif os.pread(file.fileno(), PIECE, max(0, os.fstat(file.fileno()).st_size - PIECE)).strip(b"\0"):
            yield Line(number, b"\0", place.off + PIECE, whole=False)  # a hole: something follows it
    elif final and rest.strip(b"\0") and len(data) < PIECE:
        yield Line(number + 1, rest.strip(b"\0"), place.off + len(data), not skipping)


def after(file: BinaryIO, place: Place, last: Line | None) -> Place:
    """The place behind a line (None: unchanged), with the prints of the file as it is."""
    off = last.after if last else place.off
    cut = place.cut if last is None else not last.whole and not last.text and last.number == place.line
    status = os.fstat(file.fileno())
    return Place(
        status.st_ino,
        place.since or status.st_mtime_ns,
        off,
        last.number if last else place.line,
        _print(file, 0, min(PRINT, off)),
        _print(file, max(0, off - PRINT), off),
        cut,
    )


def grown(path: Path, place: Place) -> Path | None:
    """Another file of the folder of `path` that this place belongs to, by inode and bytes, if it has more by now."""
    try:
        with os.scandir(path.parent) as entries:
            for entry in entries:
                if (
                    entry.inode() == place.ino
                    and entry.name != path.name
                    and entry.is_file(follow_symlinks=False)
                ):
                    found = Path(entry.path)
                    return found if entry.stat().st_size > place.off and fits(found, place) else None
    except FileNotFoundError:
        pass  # the folder, or the file while we looked: the next look finds out
    return None


def unread(path: Path, since: int, done_with: int = 0) -> tuple[Place | None, tuple[str, ...]]:
    """The oldest generation of `path` that was written to after `since` (Unix ns), from its beginning; None: none.

    Generations are files named as `path` with something appended, but for the one with the inode `done_with`. Also
    the names of those that are compressed.
    """
    with os.scandir(path.parent) as entries:
        later = sorted(
            (entry.stat().st_mtime_ns, entry.name, entry.inode())
            for entry in entries
            if entry.name.startswith(path.name)
            and entry.name != path.name
            and entry.inode() != done_with
            and entry.is_file(follow_symlinks=False)
            and entry.stat().st_mtime_ns > since
        )
    packed = tuple(name for _age, name, _ino in later if name.endswith(_PACKED))
    plain = [ino for _age, name, ino in later if not name.endswith(_PACKED)]
    return (Place(plain[0], since) if plain else None), packed


def fits(path: Path, place: Place | None) -> bool | None:
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


def _siblings(path: Path, ino: int) -> list[tuple[Path, int]]:
    """Other files of the folder and their inodes: the one with this inode first, then the newest."""
    with os.scandir(path.parent) as entries:
        found = [
            (entry.inode() != ino, -entry.stat().st_mtime, Path(entry.path), entry.inode())
            for entry in entries
            if entry.is_file(follow_symlinks=False) and entry.name != path.name
        ]
    return [(sibling, number) for _other, _age, sibling, number in sorted(found)[:MOST_SIBLINGS]]


def _print(file: BinaryIO, start: int, end: int) -> str:
    return blake2b(os.pread(file.fileno(), end - start, start), digest_size=8).hexdigest()
