"""The limit: the database's own binary COPY into the same table, with the same rows."""

import time
from typing import Any

import numpy as np
import psycopg

from qytet_ingest.rows import COPY_ROWS, Rows, copy_bytes

__all__ = ["copy_rate", "fill"]

_CHUNK = 50_000


def _rows(
    streams: "np.typing.NDArray[np.int64]", first_us: int, step_us: int, start: int, count: int
) -> Rows:
    """`count` readings from number `start` on: all datastreams at one instant, then the next instant."""
    number = np.arange(start, start + count)
    return Rows(
        record=number,
        stream=streams[number % len(streams)],
        time_us=first_us + number // len(streams) * step_us,
        value=(number % 997) / 10,
        quality=np.ones(count, np.int16),
        time_quality=np.full(count, 2, np.int16),
    )


def copy_rate(connection: psycopg.Connection[Any], streams: list[int], readings: int, first_ms: int) -> float:
    """Readings a second of one COPY of so many readings, encoded before the clock starts; rows are kept."""
    ids = np.array(streams, dtype=np.int64)
    parts = [
        copy_bytes(_rows(ids, first_ms * 1000, 1_000_000, at, min(_CHUNK, readings - at)))
        for at in range(0, readings, _CHUNK)
    ]
    # One stream: the header of the first part, the trailer of the last.
    body = b"".join([parts[0][:19], *(part[19:-2] for part in parts), b"\xff\xff"])
    began = time.perf_counter()
    with connection.transaction(), connection.cursor() as cursor, cursor.copy(COPY_ROWS) as copy:
        for at in range(0, len(body), 1 << 20):
            copy.write(body[at : at + (1 << 20)])
    return readings / (time.perf_counter() - began)


def fill(connection: psycopg.Connection[Any], streams: list[int], readings: int, before_ms: int) -> None:
    """Load so many readings that end at `before_ms`, one a minute per datastream, in committed pieces."""
    ids = np.array(streams, dtype=np.int64)
    first_us = (before_ms - readings // len(ids) * 60_000 - 60_000) * 1000
    began, shown = time.monotonic(), 0.0
    for at in range(0, readings, 1_000_000):
        with connection.transaction(), connection.cursor() as cursor, cursor.copy(COPY_ROWS) as copy:
            for piece in range(at, min(at + 1_000_000, readings), _CHUNK):
                data = copy_bytes(_rows(ids, first_us, 60_000_000, piece, min(_CHUNK, readings - piece)))
                copy.write(data[0 if piece == at else 19 : -2])
            copy.write(b"\xff\xff")
        if time.monotonic() - shown > 30:
            shown = time.monotonic()
            print(
                f"    … {at / 1e6:.0f} of {readings / 1e6:.0f} million after {shown - began:.0f} s",
                flush=True,
            )
