"""The newest reading of each datastream, gathered in memory and written every second or so.

Written with every batch it would cost half of the throughput; coalesced it is cheap. What a crash leaves
behind is at most a second old and mended by the next reading; `qytet db maintain` repairs it from the readings.
"""

from typing import Any

import numpy as np
import psycopg

from qytet_ingest.arrays import array_text
from qytet_ingest.rows import Rows

__all__ = ["Latest"]

_UPSERT = """
insert into store.latest as l (datastream_id, phenomenon_time, value, quality, time_quality)
select stream, to_timestamp(0) + time_us * interval '1 microsecond', nullif(value, 'NaN'), quality, time_quality
from unnest(%(stream)s::int[], %(time_us)s::bigint[], %(value)s::float8[], %(quality)s::smallint[],
            %(time_quality)s::smallint[]) as n(stream, time_us, value, quality, time_quality)
on conflict (datastream_id) do update
set phenomenon_time = excluded.phenomenon_time, value = excluded.value, quality = excluded.quality,
    time_quality = excluded.time_quality
where excluded.phenomenon_time > l.phenomenon_time
"""
_NEVER = np.iinfo(np.int64).min


class Latest:
    """Arrays indexed by datastream id, grown when a new one appears."""

    def __init__(self) -> None:
        self._time = np.empty(0, np.int64)
        self._value = np.empty(0, np.float64)
        self._flags = np.empty((0, 2), np.int16)
        self._dirty = np.empty(0, np.bool_)

    def add(self, rows: Rows) -> None:
        """Take over what is newer than what is known."""
        if not len(rows):
            return
        self._grow(int(rows.stream.max()) + 1)
        newer = rows.take(rows.time_us > self._time[rows.stream])
        order = np.argsort(newer.time_us, kind="stable")  # the last assignment wins: the newest
        stream = newer.stream[order]
        self._time[stream] = newer.time_us[order]
        self._value[stream] = newer.value[order]
        self._flags[stream, 0] = newer.quality[order]
        self._flags[stream, 1] = newer.time_quality[order]
        self._dirty[stream] = True

    def flush(self, connection: psycopg.Connection[Any]) -> int:
        """Write what changed since the last time, in one transaction; returns how many datastreams."""
        changed = np.flatnonzero(self._dirty)
        if not len(changed):
            return 0
        columns = {
            "stream": array_text(changed.tolist()),  # ascending: one order for all workers, no deadlock
            "time_us": array_text(self._time[changed].tolist()),
            "value": array_text(self._value[changed].tolist()),
            "quality": array_text(self._flags[changed, 0].tolist()),
            "time_quality": array_text(self._flags[changed, 1].tolist()),
        }
        connection.execute(_UPSERT, columns)
        self._dirty[changed] = False
        return len(changed)

    def _grow(self, size: int) -> None:
        more = size - len(self._time)
        if more <= 0:
            return
        more += size // 4
        self._time = np.concatenate([self._time, np.full(more, _NEVER)])
        self._value = np.concatenate([self._value, np.zeros(more)])
        self._flags = np.concatenate([self._flags, np.zeros((more, 2), np.int16)])
        self._dirty = np.concatenate([self._dirty, np.zeros(more, np.bool_)])
