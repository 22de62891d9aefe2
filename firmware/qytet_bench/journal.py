"""What has been done of a tray, a JSON line each, on disk before the next step: the tray goes on after any break."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from qytet.errors import InputError

__all__ = ["Entry", "Journal", "opened"]

Entry = dict[str, Any]


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
        _take(lock, path)
    except OSError as error:
        raise InputError(f"The journal {path} cannot be written.", why=str(error.strerror)) from error
    try:
        yield Journal(path)
    finally:
        lock.unlink(missing_ok=True)


def _take(lock: Path, path: Path) -> None:
    for _ in range(2):
        try:
            with lock.open("x", encoding="ascii") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            holder = _holder(lock)
            if holder and holder != os.getpid() and psutil.pid_exists(holder):
                raise InputError(
                    f"Another bench (process {holder}) is at this tray.",
                    why=f"It writes {path}.",
                    do="Use that one, or wait until it has ended.",
                ) from None
            lock.unlink(missing_ok=True)  # of a bench whose machine lost power
        else:
            return
    raise InputError(f"Another bench is at this tray: {lock} comes back.")


def _holder(lock: Path) -> int:
    try:
        return int(lock.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


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
