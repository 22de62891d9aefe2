"""Readings older than what is rolled up already: their days are noted, and computed again by and by."""

from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from qytet_ingest.arrays import array_text

__all__ = ["note"]

_HOUR_US = 3_600_000_000

# In a statement of its own, after the readings: then whoever moves the mark on waits for this transaction.
_NOTING = "select (extract(epoch from store.rollup_noting()) * 1000000)::bigint"
# Whoever computes a noted day again must wait for this transaction too, so a note that exists is written once more.
_NOTE = """
insert into store.rollup_late as l (datastream_id, day)
select distinct stream, date_trunc('day', to_timestamp(0) + hour_us * interval '1 microsecond', 'Europe/Tirane')
from unnest(%(stream)s::int[], %(hour_us)s::bigint[]) as n(stream, hour_us)
order by 1, 2
on conflict (datastream_id, day) do update set day = excluded.day
"""


def note(
    connection: psycopg.Connection[Any], stream: npt.NDArray[np.int64], time_us: npt.NDArray[np.int64]
) -> None:
    """Note the days of readings (datastream id, Unix microseconds) that came late; call it after storing them."""
    if not len(stream):
        return
    row = connection.execute(_NOTING).fetchone()
    if row is None or row[0] is None:
        return
    late = time_us < row[0]
    if not late.any():
        return
    hours = np.unique(np.stack([stream[late], time_us[late] // _HOUR_US], axis=1), axis=0)
    columns = {
        "stream": array_text(hours[:, 0].tolist()),
        "hour_us": array_text((hours[:, 1] * _HOUR_US).tolist()),
    }
    connection.execute(_NOTE, columns)
