"""What a worker says of itself in the database: a row a minute, by what its metrics gained since it last wrote."""

import os
import resource
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from qytet_ingest.metrics import Metrics

__all__ = ["Figures", "Window"]

_ADD = """
insert into store.ingest_minute as m
    (worker, minute, messages, records, readings, duplicates, dead_letters, batches, commit_ms, commit_ms_max,
     lag_ms, lag_ms_max, window_used, window_size, memory_mb, disk_used, reconnects, last_commit)
values (%(worker)s, date_trunc('minute', now(), 'UTC'), %(messages)s, %(records)s, %(readings)s, %(duplicates)s,
        %(dead_letters)s, %(batches)s, %(commit_ms)s, %(commit_ms_max)s, %(lag_ms)s, %(lag_ms_max)s, %(window_used)s,
        %(window_size)s, %(memory_mb)s, %(disk_used)s, %(reconnects)s,
        to_timestamp(%(last_commit)s::double precision))
on conflict (minute, worker) do update set
    messages = m.messages + excluded.messages, records = m.records + excluded.records,
    readings = m.readings + excluded.readings, duplicates = m.duplicates + excluded.duplicates,
    dead_letters = m.dead_letters + excluded.dead_letters, batches = m.batches + excluded.batches,
    commit_ms = m.commit_ms + excluded.commit_ms, commit_ms_max = greatest(m.commit_ms_max, excluded.commit_ms_max),
    lag_ms = m.lag_ms + excluded.lag_ms, lag_ms_max = greatest(m.lag_ms_max, excluded.lag_ms_max),
    window_used = greatest(m.window_used, excluded.window_used), window_size = excluded.window_size,
    memory_mb = excluded.memory_mb, disk_used = excluded.disk_used, reconnects = m.reconnects + excluded.reconnects,
    last_commit = coalesce(excluded.last_commit, m.last_commit)
"""
_COUNTED = {
    "qytet_ingest_messages_total": ("messages", 1),
    "qytet_ingest_records_total": ("records", 1),
    "qytet_ingest_readings_total": ("readings", 1),
    "qytet_ingest_duplicates_total": ("duplicates", 1),
    "qytet_ingest_dead_letters_total": ("dead_letters", 1),
    "qytet_ingest_batches_total": ("batches", 1),
    "qytet_ingest_commit_seconds_sum": ("commit_ms", 1000),
    "qytet_ingest_held_seconds_sum": ("lag_ms", 1000),
    "qytet_ingest_broker_reconnects": ("reconnects", 1),
}
"""A metric's sample, the column it becomes, and what it is multiplied with."""


@dataclass(frozen=True, slots=True)
class Window:
    """The source's memory: a function that tells the most bytes held since it was asked last, and how many may be."""

    used: Callable[[], int]
    size: int


class Figures:
    """Writes what happened since it last wrote. What it cannot write is in the next row."""

    def __init__(self, worker: str, metrics: Metrics, window: Window, place: Path) -> None:
        """`worker` names the row; `place` lies on the file system to look at."""
        self._worker = worker
        self._metrics = metrics
        self._window = window
        self._place = place if place.is_dir() else Path()
        self._written = dict.fromkeys((name for name, _ in _COUNTED.values()), 0.0)

    def write(self, connection: psycopg.Connection[Any]) -> None:
        """Add to the row of this minute. Raises psycopg.Error; nothing is forgotten then."""
        peaks = self._metrics.peaks
        peaks.note("window", self._window.used())
        counted, highest = self._counted(), peaks.take()
        row: dict[str, Any] = {name: counted[name] - self._written[name] for name in counted}
        row |= {
            "worker": self._worker,
            "commit_ms_max": highest.get("commit_s", 0.0) * 1000,
            "lag_ms_max": highest.get("held_s", 0.0) * 1000,
            "window_used": int(highest["window"]),
            "window_size": self._window.size,
            "memory_mb": memory_mb(),
            "disk_used": disk_used(self._place),
            "last_commit": peaks.last_commit,
        }
        try:
            connection.execute(_ADD, row)
        except BaseException:
            for name, value in highest.items():
                peaks.note(name, value)
            raise
        self._written = counted

    def _counted(self) -> dict[str, float]:
        found = dict.fromkeys(self._written, 0.0)
        for metric in self._metrics.collectors.collect():
            for sample in metric.samples:
                if sample.name in _COUNTED:
                    name, factor = _COUNTED[sample.name]
                    found[name] += sample.value * factor
        return found


def memory_mb() -> float:
    """This process's resident memory; where the kernel does not tell it, the highest that it had."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def disk_used(place: Path) -> float | None:
    """Which part of the file system is taken, of what a user without privileges could take; None if unknown."""
    try:
        found = shutil.disk_usage(place)
    except OSError:
        return None
    return found.used / ((found.used + found.free) or 1)
