"""What checks may look at: the settings, and the ways to ask the host (which tests replace)."""

import datetime as dt
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from qytet.doctor.finding import Finding
from qytet.settings import Settings

__all__ = ["Check", "Context", "Disk", "disk_of"]


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system: bytes and inodes, free (for us) and in all; file systems without inodes say 0."""

    free: int
    total: int
    free_inodes: int
    total_inodes: int


def disk_of(path: Path) -> Disk:
    """The file system that holds `path`, or that would hold it once it is made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    found = os.statvfs(path)
    unit = found.f_frsize
    return Disk(found.f_bavail * unit, found.f_blocks * unit, found.f_favail, found.f_files)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class Context:
    """The settings in force and the host as checks see it."""

    settings: Settings
    now: Callable[[], dt.datetime] = field(default=_now)
    disk: Callable[[Path], Disk] = field(default=disk_of)


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the table: `run` returns what it found within `timeout` s, or the check is a problem itself."""

    group: str
    name: str
    run: Callable[[Context], list[Finding]]
    timeout: float = 10.0
