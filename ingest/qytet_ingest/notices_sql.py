"""Writing what devices say of themselves: births, states, log lines and answers to commands."""

from dataclasses import asdict
from typing import Any

import psycopg

from qytet_ingest.batch import Batch
from qytet_ingest.dead import clean

__all__ = ["announce", "store"]

_BIRTH = """
insert into store.device_status as s (device_id, boot, firmware, board, birth_at)
values (%(device_id)s, %(boot)s, %(firmware)s, %(board)s, now())
on conflict (device_id) do update
set boot = excluded.boot, firmware = excluded.firmware, board = excluded.board,
    birth_at = case when s.boot = excluded.boot then s.birth_at else excluded.birth_at end
"""
# A last will speaks for its own boot only: one that arrives after a newer birth is ignored.
_STATE = """
insert into store.device_status as s (device_id, state, state_boot, state_at)
values (%(device_id)s, %(state)s, %(boot)s, now())
on conflict (device_id) do update
set state = excluded.state, state_boot = excluded.state_boot,
    state_at = case when s.state = excluded.state then s.state_at else excluded.state_at end
where excluded.state <> 'lost' or s.boot in ('', excluded.state_boot)
"""
_LOG = """
insert into store.device_log (device_id, boot, up_ms, level, message)
values (%(device_id)s, %(boot)s, %(up_ms)s, %(level)s, %(message)s)
"""
# An answer of a device that is late or repeats itself never takes back a final one; that of a third party is nothing.
_ACK = """
update store.command set state = %(state)s, why = %(why)s, answered_at = now()
where command_id = %(ident)s and device_id = %(device_id)s
  and state not in ('done', 'failed', %(state)s)
"""
_ANNOUNCE = """
insert into store.datastream (device_id, property, channel, valid)
select d.device_id, %(property)s, %(channel)s, d.valid
from store.device d
where d.device_id = %(device_id)s and not exists (
    select from store.datastream o
    where o.device_id = d.device_id and o.property = %(property)s and o.channel = %(channel)s)
"""


def store(connection: psycopg.Connection[Any], batch: Batch) -> None:
    """Write the batch's notices, in the order in which they came."""
    with connection.cursor() as cursor:
        if batch.births:
            cursor.executemany(_BIRTH, [_cleaned(birth) for birth in batch.births])
        if batch.states:
            cursor.executemany(_STATE, [_cleaned(state) for state in batch.states])
        if batch.logs:
            cursor.executemany(_LOG, [_cleaned(line) for line in batch.logs])
        if batch.acks:
            cursor.executemany(_ACK, [_cleaned(answer) for answer in batch.acks])


def announce(connection: psycopg.Connection[Any], device_id: int, keys: list[str]) -> None:
    """Register the datastreams that a birth names and the registry lacks."""
    rows = [
        {"device_id": device_id, "property": key.partition(":")[0], "channel": key.partition(":")[2]}
        for key in keys
    ]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_ANNOUNCE, rows)


def _cleaned(notice: Any) -> dict[str, Any]:
    return {key: clean(value) if isinstance(value, str) else value for key, value in asdict(notice).items()}
