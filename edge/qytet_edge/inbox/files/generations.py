"""Which file to read next: the one of the name, or what became of it when it was rotated, copied or written anew.

The generation that was read before this one is looked at, too: whoever writes may hear of a rotation late.
"""

import errno
import math
import os
from pathlib import Path

import msgspec

from qytet_edge.inbox.files import place as places
from qytet_edge.inbox.files.place import AnotherFileError, Place
from qytet_edge.inbox.files.reader import Before, Form, Progress, Rows, Step, decode, encode

__all__ = ["SETTLED_S", "step"]

SETTLED_S = 60.0
"""A file that others have followed and that was left alone for so long is done: its last line needs no end."""


def step(path: Path, progress: Progress, form: Form, *, quiet_s: float = math.inf) -> Step:
    """Read on: the next rows of `path`, or of the file that it was before. Blocks; raises OSError.

    `quiet_s`: if this file was left alone for so long, its last line is whole even without an end.
    """
    progress = decode(encode(progress))  # the caller's stays as it was until this one is kept
    late = _late(path, progress, form)
    if late is not None:
        return late
    earlier = _unread(path, progress)
    if earlier is not None:
        _begin(progress, again=progress.again)
        progress.place = earlier
    begun = Progress(progress.place, before=progress.before)
    found = places.find(path, progress.place)
    if found.how == "absent":
        return Step([], progress, changed=False, troubles=[], more=False, found=False)
    told = []
    if found.how == "replaced":
        if progress.place is not None:
            told.append(_replaced(path, progress, form))
        _begin(progress, again=progress.last_ms is not None)
    return_to = found.how == "moved" and path.exists()
    with found.path.open("rb") as file:
        quiet_s = min(quiet_s, SETTLED_S) if return_to else quiet_s
        done = Rows(found.path.name, progress, form).read(file, found.ino, quiet_s=quiet_s)
        since = os.fstat(file.fileno()).st_mtime_ns
    if found.how == "same" and _unread(path, begun):
        raise AnotherFileError(errno.ENOENT, "rotated since the last look", str(path))
    if return_to and not done.changed:
        told += _go_on(path, since, progress)
        done = done._replace(changed=True)
    if return_to:
        done = done._replace(more=True)
    return done._replace(troubles=told + done.troubles)


def _unread(path: Path, progress: Progress) -> Place | None:
    """The generation that comes first as long as nothing but a header was read of the one at hand."""
    place, before = progress.place, progress.before
    if place is None or place.line > 1 or not path.parent.is_dir():
        return None
    earlier, _packed = places.unread(path, place.since, before.place.ino if before else 0)
    return earlier


def _late(path: Path, progress: Progress, form: Form) -> Step | None:
    """What came to the generation before this one after it was left; None: nothing."""
    before = progress.before
    grown = places.grown(path, before.place) if before else None
    if before is None or grown is None:
        return None
    own = Progress(before.place, before.header, before.passes)
    with grown.open("rb") as file:
        done = Rows(grown.name, own, form).read(file, before.place.ino, quiet_s=SETTLED_S)
    if not done.changed or own.place is None:
        return None
    progress.before = Before(own.place, own.header, own.passes)
    progress.bad += own.bad
    return done._replace(progress=progress, more=True)


def _go_on(path: Path, since: int, progress: Progress) -> list[str]:
    """The old file, last written to at `since`, is done with: on to the one after it. Returns what to tell."""
    place = progress.place
    if place is not None and place.line > 1 and places.fits(path, place):
        progress.place = msgspec.structs.replace(place, ino=path.stat().st_ino)  # the old one is but a copy
        return []
    if place is not None:
        progress.before = Before(place, progress.header, progress.passes)
    _begin(progress, again=False)
    earlier, packed = places.unread(path, since)
    progress.place = earlier or Place(path.stat().st_ino, since)
    return [f"{name} is compressed, so its rows are not read" for name in packed]


def _begin(progress: Progress, *, again: bool) -> None:
    progress.place, progress.header, progress.passes, progress.again, progress.seen = None, (), {}, again, 0


def _replaced(path: Path, progress: Progress, form: Form) -> str:
    done = progress.place.line if progress.place else 0
    what = f"{path.name} is not the file that was read up to line {done}; it is read from its beginning"
    if form.time is None:
        return what + ", and what the other one held after that line is lost"
    return what + ", but for rows up to the last stamp"
