"""A recording ready to be replayed: read, checked, numbered, and with identities that never change.

A device's boot is derived from the mapping's meaning, the device's name and the files' contents. Replaying the
same recording by the same mapping therefore says the same records again, and the platform knows them.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qytet_simulators.replay import sources
from qytet_simulators.replay.account import Read
from qytet_simulators.replay.mapping import Mapping
from qytet_simulators.replay.readings import readings
from qytet_simulators.replay.staging import Staging

__all__ = ["Recording", "opened"]


@dataclass
class Recording:
    """A mapping with its recording: `identity` changes if, and only if, other records would come out."""

    mapping: Mapping
    staging: Staging
    read: Read
    identity: str

    def boot(self, device: str, run: str = "") -> str:
        """The device's boot: 8 hexadecimal digits; `run` makes those of a replay with shifted stamps its own."""
        text = "\0".join((self.identity, device, run))
        return hashlib.sha256(text.encode()).hexdigest()[:8]


@contextmanager
def opened(mapping: Mapping, data: Path) -> Iterator[Recording]:
    """Read the whole recording and count it; nothing has been sent yet. Raises InputError."""
    paths = [sources.locate(source, data) for source in mapping.source]
    identity = hashlib.sha256(f"{mapping.meaning()}\0{sources.digest(paths)}".encode()).hexdigest()
    read = Read()
    with Staging(readings(mapping, data, read)) as staging:
        staging.span()
        for record in staging.by_time():
            read.records += 1
            read.repeated_records += bool(record.repeats)
            read.repeated_values += len(record.repeats)
        yield Recording(mapping, staging, read, identity)
