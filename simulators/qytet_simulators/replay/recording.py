"""A recording ready to be replayed: read, checked, numbered, and with identities that never change.

A device's boot is derived from the mapping's meaning, the device's name and the files' contents. Replaying the
same recording by the same mapping therefore says the same records again, and the platform knows them.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from qytet_simulators.replay import sources
from qytet_simulators.replay.account import Read
from qytet_simulators.replay.mapping import Mapping
from qytet_simulators.replay.readings import readings
from qytet_simulators.replay.staging import Staging

__all__ = ["EVER", "Part", "Recording", "Window", "opened"]


class Window(NamedTuple):
    """Instants from `start` up to, not including, `end`, in Unix milliseconds."""

    start: int
    end: int


EVER = Window(0, 1 << 62)


@dataclass
class Part:
    """A device's records within the window: seq `first` to `last`, of which `repeated` repeat an instant."""

    first: int
    last: int = 0
    repeated: int = 0

    @property
    def count(self) -> int:
        """How many records these are; numbers follow time, so a window has no holes."""
        return self.last - self.first + 1


@dataclass
class Recording:
    """A mapping with its recording: `identity` changes if, and only if, other records would come out."""

    mapping: Mapping
    staging: Staging
    read: Read
    identity: str
    window: Window = EVER
    parts: dict[str, Part] = field(default_factory=dict)

    def boot(self, device: str, run: str = "") -> str:
        """The device's boot: 8 hexadecimal digits; `run` makes those of a replay with shifted stamps its own."""
        return hashlib.sha256(f"{self.identity}/{device}/{run}".encode()).hexdigest()[:8]

    def count(self) -> None:
        """Find each device's part, and how many records and repeats there are."""
        for device in self.staging.devices:
            for record in self.staging.by_device(device):
                self.read.records += 1
                self.read.repeated_records += bool(record.repeats)
                self.read.repeated_values += len(record.repeats)
                if self.window.start <= record.t < self.window.end:
                    part = self.parts.setdefault(device, Part(record.seq))
                    part.last = record.seq
                    part.repeated += bool(record.repeats)


@contextmanager
def opened(mapping: Mapping, data: Path, window: Window = EVER) -> Iterator[Recording]:
    """Read the whole recording and count it; nothing has been sent yet. Raises InputError."""
    paths = [sources.locate(source, data) for source in mapping.source]
    identity = hashlib.sha256(f"{mapping.meaning()}/{sources.digest(paths)}".encode()).hexdigest()
    read = Read()
    with Staging(readings(mapping, data, read)) as staging:
        staging.span()
        recording = Recording(mapping, staging, read, identity, window)
        recording.count()
        yield recording
