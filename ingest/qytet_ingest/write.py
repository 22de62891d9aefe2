"""One transaction a batch: readings by binary COPY, and with them the ledger, dead letters and notices.

If a reading's key exists already, the batch is redone row by row of the ledger (`careful`); if PostgreSQL
refuses a value, the message that holds it is found and set aside. A lost connection is not an error of the
batch: the caller waits and calls again, and what had been committed after all is recognised by the ledger.
"""

from typing import Any

import psycopg
from psycopg import errors

from qytet_ingest import careful, late, notices_sql, undated
from qytet_ingest.arrays import array_text, quoted_text
from qytet_ingest.batch import Batch
from qytet_ingest.dead import write_dead
from qytet_ingest.ledger import Boot
from qytet_ingest.rangeset import multirange, ranges
from qytet_ingest.registry import Registry
from qytet_ingest.rows import COPY_ROWS, Rows, build, copy_bytes
from qytet_ingest.tally import tally

__all__ = ["settle", "write"]

_LEDGER = """
insert into store.delivery as d
    (device_id, boot, received, rejected, dropped, duplicates, late, anchor_ms, readings, suspect, failed)
select device_id, boot, received, rejected, dropped, duplicates, late, anchor_ms, readings, suspect, failed
from unnest(%(device)s::int[], %(boot)s::text[], %(received)s::int8multirange[], %(rejected)s::int8multirange[],
            %(dropped)s::int8multirange[], %(duplicates)s::bigint[], %(late)s::bigint[], %(anchor)s::bigint[],
            %(readings)s::bigint[], %(suspect)s::bigint[], %(failed)s::bigint[])
     as n(device_id, boot, received, rejected, dropped, duplicates, late, anchor_ms, readings, suspect, failed)
on conflict (device_id, boot) do update set
    received = d.received + excluded.received,
    rejected = d.rejected + excluded.rejected,
    dropped = d.dropped + excluded.dropped - (d.received + excluded.received) - (d.rejected + excluded.rejected),
    duplicates = d.duplicates + excluded.duplicates,
    late = d.late + excluded.late,
    anchor_ms = coalesce(excluded.anchor_ms, d.anchor_ms),
    readings = d.readings + excluded.readings,
    suspect = d.suspect + excluded.suspect,
    failed = d.failed + excluded.failed,
    last_seen = now()
"""


def write(connection: psycopg.Connection[Any], batch: Batch, registry: Registry) -> Rows:
    """Commit a batch; returns the readings that are stored now. `settle` it when its transaction is committed.

    Raises psycopg.OperationalError or InterfaceError if the database is not there: then nothing or
    everything was committed, and calling again is right in both cases.
    """
    rows = build(batch, registry)
    dead = list(batch.dead)  # an attempt that fails may have added letters; the next adds them again
    try:
        with connection.transaction():
            if len(rows):
                _copy(connection, rows)
                late.note(connection, rows.stream, rows.time_us)
            _rest(connection, batch, registry, rows)
    except (errors.DataError, errors.IntegrityError):
        batch.dead[:] = dead
        rows = _carefully(connection, batch, registry, rows)
    except BaseException:
        batch.dead[:] = dead
        raise
    return rows


def settle(batch: Batch) -> None:
    """The batch is committed: its boots have nothing fresh any more."""
    for boot in batch.boots:
        boot.undated = boot.undated and boot.anchor_ms is None
        boot.settle()


def _copy(connection: psycopg.Connection[Any], rows: Rows) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY_ROWS) as copy:
        copy.write(copy_bytes(rows))


def _carefully(connection: psycopg.Connection[Any], batch: Batch, registry: Registry, rows: Rows) -> Rows:
    """Insert row by row what COPY could not."""
    with connection.transaction():
        stored = careful.insert(connection, batch, rows)
        late.note(connection, stored.stream, stored.time_us)
        _rest(connection, batch, registry, stored)
    return stored


def _rest(connection: psycopg.Connection[Any], batch: Batch, registry: Registry, stored: Rows) -> None:
    """Everything of the batch that is not a reading."""
    tally(batch, stored)
    undated.store(connection, batch)
    undated.resolve(connection, batch, registry)
    notices_sql.store(connection, batch)
    write_dead(connection, batch.dead)
    _ledger(connection, batch.boots)


def _ledger(connection: psycopg.Connection[Any], boots: list[Boot]) -> None:
    if not boots:
        return
    boots.sort(key=lambda boot: (boot.device_id, boot.boot))  # one order for all workers: no deadlock
    columns = {
        "device": array_text([boot.device_id for boot in boots]),
        "boot": array_text([boot.boot for boot in boots]),
        "received": quoted_text([multirange(boot.fresh) for boot in boots]),
        "rejected": quoted_text([multirange(boot.fresh_rejected) for boot in boots]),
        "dropped": quoted_text([ranges(boot.fresh_dropped) for boot in boots]),
        "duplicates": array_text([boot.duplicates for boot in boots]),
        "late": array_text([boot.late for boot in boots]),
        "anchor": array_text(["null" if boot.anchor_ms is None else boot.anchor_ms for boot in boots]),
        "readings": array_text([boot.readings for boot in boots]),
        "suspect": array_text([boot.suspect for boot in boots]),
        "failed": array_text([boot.failed for boot in boots]),
    }
    connection.execute(_LEDGER, columns)
