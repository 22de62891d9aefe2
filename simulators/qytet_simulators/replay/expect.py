"""What the platform must hold after a replay: an oracle to compare a database with."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from qytet_simulators.replay.mapping import Mapping
from qytet_simulators.replay.recording import opened

__all__ = ["Expected", "expected", "repeated"]


class Expected(NamedTuple):
    """One value that must be stored once; `t_ms` in Unix milliseconds, `value` in the catalogue's unit."""

    device: str
    key: str
    t_ms: int
    value: float


def expected(mapping: Mapping, data: Path) -> Iterator[Expected]:
    """Every value that must be stored, in the order of time: the first for each datastream and instant."""
    with opened(mapping, data) as recording:
        for record in recording.staging.by_time():
            for key, value in record.m.items():
                if key not in record.repeats:
                    yield Expected(record.device, key, record.t, value)


def repeated(mapping: Mapping, data: Path) -> list[Expected]:
    """Every value that must be held as a dead letter: the later ones for a datastream and instant."""
    with opened(mapping, data) as recording:
        return [
            Expected(record.device, key, record.t, record.m[key])
            for record in recording.staging.by_time()
            for key in record.repeats
        ]
