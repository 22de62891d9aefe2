"""What has been done of a tray, a JSON line each, on disk before the next step: the tray goes on after any break."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from qytet.errors import InputError

__all__ = ["Entry", "Journal", "opened"]

Entry = dict[str, Any]
_PID_DIGITS = 10
_FAR = 1 << 20


class Journal:
    """The last entry of each device counts. Use `opened`: two benches must not write one journal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = {entry["device"]: entry for entry in _entries(path)}

    def last(self, device: str) -> Entry:
        """What was noted last of a device; {} if nothing."""
        return self._last.get(device, {})

    def note(self, device: str, state: str, **facts: Any) -> Entry:
        """Note it; on disk when this returns. Raises InputError if the disk refuses."""
        entry = {"t": _now(), "device": device, "state": state, **facts}
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        try:
            with self.path.open("ab") as file:
                if file.tell() and not _ends_whole(self.path):
                    file.write(b"\n")  # a power cut left half a line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(
                f"The journal {self.path} cannot be written.",
                why=str(error.strerror),
                do="Make room; what is done so far is noted, the same command goes on from there.",
            ) from error
        self._last[device] = entry
        return entry


@contextmanager
def opened(path: Path) -> Iterator[Journal]:
    """The journal, ours alone while the block lasts. Raises InputError if another bench has it."""
    lock = path.with_name(path.name + ".lock")
    try:
        file = lock.open("a+", encoding="ascii")
    except OSError as error:
        raise InputError(
            f"The journal {path} cannot be written.",
            why=str(error.strerror),
            do="Copy the list into a folder that you may write.",
        ) from error
    with file:
        _take(file, path)
        yield Journal(path)


def _take(file: IO[str], path: Path) -> None:
    """Take the lock, which the system gives back however this process ends; the file itself stays."""
    try:
        _lock(file)
    except OSError:
        file.seek(0)
        holder = file.read(_PID_DIGITS)
        raise InputError(
            f"Another bench{f' (process {holder})' if holder else ''} is at this tray.",
            why=f"It writes {path}.",
            do="Use that one, or wait until it has ended.",
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()


def _lock(file: IO[str]) -> None:
    """Raises OSError if another process has it."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(_FAR)  # Windows lets nobody read a byte that is locked
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _entries(path: Path) -> Iterator[Entry]:
    """Whole entries; half a line, which a power cut leaves, was no entry."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"The journal {path} cannot be read.", why=str(error.strerror)) from error
    for line in content.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if (
            isinstance(entry, dict)
            and isinstance(entry.get("device"), str)
            and isinstance(entry.get("state"), str)
        ):
            yield entry


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
