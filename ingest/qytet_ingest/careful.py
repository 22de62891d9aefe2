"""The careful way to write a batch, when COPY met a key that exists or a value that cannot be.

Duplicates (the ledger has the record: an earlier commit succeeded though its answer was lost) are passed
over. Collisions (another record holds the same datastream and instant) become dead letters: the first
stands. A message whose values PostgreSQL refuses is found by halving and becomes a dead letter alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import psycopg
from psycopg import errors

from qytet_contract import codes
from qytet_ingest.batch import Batch, DeadLetter
from qytet_ingest.ledger import Boot
from qytet_ingest.rangeset import RangeSet
from qytet_ingest.rows import Rows

__all__ = ["INSERT_ROWS", "insert", "row_columns"]

INSERT_ROWS = """
insert into store.observation (phenomenon_time, value, datastream_id, quality, time_quality)
select to_timestamp(0) + time_us * interval '1 microsecond', nullif(value, 'NaN'), stream, quality, time_quality
from unnest(%(time_us)s::bigint[], %(value)s::float8[], %(stream)s::int[], %(quality)s::smallint[],
            %(time_quality)s::smallint[]) as n(time_us, value, stream, quality, time_quality)
on conflict (datastream_id, phenomenon_time) do nothing
returning datastream_id, (extract(epoch from phenomenon_time) * 1000000)::bigint
"""
_KNOWN = """
select device_id, boot, received from store.delivery
where (device_id, boot) in (select * from unnest(%(device)s::int[], %(boot)s::text[]))
order by device_id, boot for update
"""


def insert(connection: psycopg.Connection[Any], batch: Batch, rows: Rows) -> Rows:
    """Insert what is new, inside the caller's transaction; returns it. Adds dead letters to the batch."""
    known = _known(connection, batch.boots)
    fresh = [not _was_received(known, batch, record) for record in range(len(batch.record_seq))]
    rows = rows.take(np.array(fresh, dtype=bool)[rows.record])
    return _insert(connection, batch, rows)


def row_columns(rows: Rows) -> dict[str, list[Any]]:
    """The parameters of INSERT_ROWS."""
    return {
        "time_us": rows.time_us.tolist(),
        "value": rows.value.tolist(),
        "stream": rows.stream.tolist(),
        "quality": rows.quality.tolist(),
        "time_quality": rows.time_quality.tolist(),
    }


def _known(connection: psycopg.Connection[Any], boots: list[Boot]) -> dict[tuple[int, str], RangeSet]:
    """What the database says was received of these boots."""
    names = {"device": [boot.device_id for boot in boots], "boot": [boot.boot for boot in boots]}
    found = connection.execute(_KNOWN, names).fetchall()
    return {(row[0], row[1]): RangeSet((r.lower, r.upper) for r in row[2]) for row in found}


def _was_received(known: dict[tuple[int, str], RangeSet], batch: Batch, record: int) -> bool:
    boot = batch.record_boot[record]
    ranges = known.get((boot.device_id, boot.boot))
    return ranges is not None and batch.record_seq[record] in ranges


def _insert(connection: psycopg.Connection[Any], batch: Batch, rows: Rows) -> Rows:
    """Insert, halving the messages until the one that PostgreSQL refuses stands alone."""
    if not len(rows):
        return rows
    try:
        with connection.transaction():  # a savepoint
            returned = connection.execute(INSERT_ROWS, row_columns(rows)).fetchall()
    except (errors.DataError, errors.IntegrityError) as error:
        return _halved(connection, batch, rows, error)
    return _without_collisions(batch, rows, returned)


def _halved(connection: psycopg.Connection[Any], batch: Batch, rows: Rows, error: psycopg.Error) -> Rows:
    messages = np.array(batch.record_message)[rows.record]
    distinct = np.unique(messages)
    if len(distinct) == 1:
        _set_aside(batch, rows, codes.STORE_FAILED, f"{error.sqlstate}: {error}", forget=True)
        return rows.take(np.zeros(len(rows), dtype=bool))
    low = messages < distinct[len(distinct) // 2]
    parts = [_insert(connection, batch, rows.take(half)) for half in (low, ~low)]
    return _joined(parts)


def _joined(parts: list[Rows]) -> Rows:
    names = ("record", "stream", "time_us", "value", "quality", "time_quality")
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _without_collisions(batch: Batch, rows: Rows, returned: Iterable[tuple[int, int]]) -> Rows:
    """Tell inserted rows from those whose key was taken; of equal keys in one batch the first was inserted."""
    left = Counter(returned)
    inserted = np.zeros(len(rows), dtype=bool)
    for at, key in enumerate(zip(rows.stream.tolist(), rows.time_us.tolist(), strict=True)):
        if left[key]:
            left[key] -= 1
            inserted[at] = True
    if not inserted.all():
        lost = rows.take(~inserted)
        _set_aside(
            batch, lost, codes.COLLISION, "another record holds this datastream and instant", forget=False
        )
    return rows.take(inserted)


def _set_aside(batch: Batch, rows: Rows, reason: str, why: str, *, forget: bool) -> None:
    """One dead letter for each message of these rows; `forget` if nothing of their records was stored."""
    records: dict[int, set[int]] = defaultdict(set)
    for record in rows.record.tolist():
        records[batch.record_message[record]].add(record)
    for message, mine in records.items():
        topic, payload = batch.messages[message]
        seqs = [batch.record_seq[record] for record in sorted(mine)]
        detail = f"{why}; seq {', '.join(map(str, seqs[:20]))}"
        batch.dead.append(DeadLetter(topic, payload, reason, detail[:1000], topic_device(topic)))
        for record in mine:
            boot = batch.record_boot[record]
            boot.unreceive(batch.record_seq[record]) if forget else boot.reject(batch.record_seq[record])


def topic_device(topic: bytes) -> str:
    """The device that a well-formed topic names: its last level but one."""
    parts = topic.decode(errors="replace").split("/")
    return parts[-2] if len(parts) > 1 else ""
