"""Readings to numbered records: sorted on disk, so that memory stays flat whatever the recording's order or size.

A record holds all that one device has for one instant. A second value for the same datastream and instant
goes into a further record of its own, so that the platform can keep the first and name the other.
"""

import itertools
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from qytet.errors import InputError
from qytet_contract import records
from qytet_contract.codes import ContractError
from qytet_contract.topics import is_slug
from qytet_simulators.replay.readings import Reading

__all__ = ["Record", "Staging"]

_CHUNK = 10_000


class Record(NamedTuple):
    """What a device says at one instant: `t` Unix milliseconds, `up` milliseconds since its first record.

    `repeats`: the keys that an earlier record of this device and instant already has.
    """

    device: str
    seq: int
    t: int
    up: int
    m: dict[str, float]
    repeats: tuple[str, ...] = ()


class Staging:
    """Readings in a temporary SQLite file, read back as records; a context manager."""

    def __init__(self, found: Iterable[Reading]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="qytet-replay-")
        self._devices: dict[str, int] = {}
        self._keys: dict[str, int] = {}
        self._streams: dict[tuple[str, str], None] = {}
        self._db = sqlite3.connect(Path(self._folder.name) / "readings.sqlite")
        try:
            self._fill(found)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Delete the temporary file."""
        self._db.close()
        self._folder.cleanup()

    @property
    def devices(self) -> list[str]:
        """Every device that has a valid reading, in order of appearance."""
        return list(self._devices)

    @property
    def streams(self) -> dict[str, list[str]]:
        """Each device's keys, in order of appearance."""
        found: dict[str, list[str]] = {device: [] for device in self._devices}
        for device, key in self._streams:
            found[device].append(key)
        return found

    def span(self) -> tuple[int, int]:
        """The first and the last instant, in Unix milliseconds. Raises InputError if there is no reading."""
        first, last = self._db.execute("select min(t), max(t) from reading").fetchone()
        if first is None:
            raise InputError(
                "The recording holds no valid reading.", do="Check the mapping's columns and `missing`."
            )
        return first, last

    def by_device(self, device: str) -> Iterator[Record]:
        """One device's records in the order of time, numbered from 1."""
        found = self._db.execute(
            "select device, t, key, value from reading where device = ? order by t, ord",
            (self._devices[device],),
        )
        return self._records(found)

    def by_time(self) -> Iterator[Record]:
        """All records in the order of time; within each device numbered as by `by_device`."""
        return self._records(
            self._db.execute("select device, t, key, value from reading order by t, device, ord")
        )

    def _records(self, found: Iterable[tuple[int, int, int, float]]) -> Iterator[Record]:
        devices, keys = list(self._devices), list(self._keys)
        seqs = [0] * len(devices)
        first: list[int | None] = [None] * len(devices)
        for (device, t), group in itertools.groupby(found, key=lambda row: (row[0], row[1])):
            start = first[device]
            if start is None:
                start = first[device] = t
            for m, repeats in _joined((keys[row[2]], row[3]) for row in group):
                seqs[device] += 1
                yield Record(devices[device], seqs[device], t, t - start, m, repeats)

    def _fill(self, found: Iterable[Reading]) -> None:
        self._db.executescript(
            "pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -32000;"
            "create table reading (device integer, t integer, ord integer, key integer, value real,"
            " primary key (device, t, ord)) without rowid"
        )
        rows = self._rows(found)
        while chunk := list(itertools.islice(rows, _CHUNK)):
            self._db.executemany("insert into reading values (?, ?, ?, ?, ?)", chunk)
        self._db.commit()

    def _rows(self, found: Iterable[Reading]) -> Iterator[tuple[int, int, int, int, float]]:
        for order, reading in enumerate(found):
            if (reading.device, reading.key) not in self._streams:
                self._meet(reading)
            yield self._devices[reading.device], reading.t, order, self._keys[reading.key], reading.value

    def _meet(self, reading: Reading) -> None:
        """Check what templates made of a row when it appears first. Raises InputError."""
        if not is_slug(reading.device):
            raise InputError(
                f"The mapping makes a device name {reading.device!r}.",
                why="A name is 1 to 64 of a-z, 0-9, - and _.",
                do="Change the `device` template.",
            )
        try:
            records.check_key(reading.key)
            records.check_time(reading.t, "host")
        except ContractError as error:
            raise InputError(f"The mapping makes {reading.key!r} at {reading.t}.", why=str(error)) from error
        self._devices.setdefault(reading.device, len(self._devices))
        self._keys.setdefault(reading.key, len(self._keys))
        self._streams[reading.device, reading.key] = None


def _joined(values: Iterable[tuple[str, float]]) -> list[tuple[dict[str, float], tuple[str, ...]]]:
    """The values of one instant in as few records as can be, each key at most once a record."""
    sets: list[dict[str, float]] = []
    for key, value in values:
        for m in sets:
            if key not in m and len(m) < records.MAX_VALUES:
                m[key] = value
                break
        else:
            sets.append({key: value})
    first: list[tuple[dict[str, float], tuple[str, ...]]] = [(sets[0], ())]
    return first + [
        (m, tuple(key for key in m if any(key in earlier for earlier in sets[:index])))
        for index, m in enumerate(sets[1:], 1)
    ]
