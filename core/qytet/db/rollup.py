"""Rollups on the tiers without background jobs: moved on in bounded steps, and mended where readings came late.

Two instants make it exact without a lock on the hot path. `noting` moves first: from then on who writes an older
reading notes its day. Once every transaction is over that may not have seen this, `until` follows with the rollups
themselves. On TimescaleDB's Community edition continuous aggregates do all of this. What no aggregate can say, the
means over eight hours, is kept on every tier.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

__all__ = ["Progress", "exists", "refresh"]

_LOCK = 0x515954524F4C4C  # "QYTROLL": one at a time
LATE_A_STEP = 50
"""Days of datastreams that one transaction computes again: ingest waits for it if it notes one of them anew."""
KEPT_A_STEP = 2000
"""Days of series whose means over eight hours one transaction computes."""
PAUSE_S = 0.02
"""Between two looks whether older transactions are over; nothing announces that."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What was done: rows made, days of datastreams mended; `whole` if nothing was left to do.

    `kept` counts days of series whose means over eight hours were computed.
    """

    rows: int
    mended: int
    whole: bool
    until: datetime | None
    kept: int = 0


def exists(connection: psycopg.Connection[Any]) -> bool:
    """Whether this database has rollups of ours (the Community edition has its own)."""
    return bool(_one(connection, _EXISTS))


def refresh(
    connection: psycopg.Connection[Any], *, seconds: float = 30.0, stopping: threading.Event | None = None
) -> Progress:
    """Bring the rollups up to the last full hour, or as far as `seconds` allow. Needs an autocommit connection.

    If another process is at it, nothing is done here. Each step is a transaction of
    its own: `stopping` ends it between two of them.
    """
    if not _one(connection, _TRY_LOCK, {"lock": _LOCK}):
        return Progress(0, 0, True, None)
    deadline = time.monotonic() + seconds
    event = stopping or threading.Event()

    def may_go_on() -> bool:
        return time.monotonic() < deadline and not event.is_set()

    try:
        if not exists(connection):
            kept, whole = _keep(connection, may_go_on)
            return Progress(0, 0, whole, None, kept)
        rows, arrived = _forward(connection, may_go_on)
        mended, clean = _repeat(connection, _ROLL_LATE, LATE_A_STEP, may_go_on)
        kept, whole = _keep(connection, may_go_on)
        return Progress(rows, mended, arrived and clean and whole, _one(connection, _UNTIL), kept)
    finally:
        connection.execute(_UNLOCK, {"lock": _LOCK})


def _forward(connection: psycopg.Connection[Any], may_go_on: Callable[[], bool]) -> tuple[int, bool]:
    rows = 0
    while (step := _one(connection, _NEXT)) is not None:
        if not may_go_on() or not _note_below(connection, step, may_go_on):
            return rows, False
        rows += int(_one(connection, _ROLL, {"till": step}))
    return rows, True


def _note_below(
    connection: psycopg.Connection[Any], instant: datetime, may_go_on: Callable[[], bool]
) -> bool:
    """Let writers note what is older, and wait until all know it; False if the time ran out."""
    connection.execute(_NOTE, {"instant": instant})
    newest = _one(connection, _NEWEST)
    while not _one(connection, _OVER, {"newest": newest}):
        if not may_go_on():
            return False
        time.sleep(PAUSE_S)
    return True


def _keep(connection: psycopg.Connection[Any], may_go_on: Callable[[], bool]) -> tuple[int, bool]:
    if not _one(connection, _KEEPS):  # a database that is not migrated yet
        return 0, True
    return _repeat(connection, _KEEP_EIGHTS, KEPT_A_STEP, may_go_on)


def _repeat(
    connection: psycopg.Connection[Any], query: str, most: int, may_go_on: Callable[[], bool]
) -> tuple[int, bool]:
    """Take steps of `most` until one has less to do; how much was done, and whether nothing is left."""
    total = 0
    while may_go_on():
        done = int(_one(connection, query, {"most": most}))
        total += done
        if done < most:
            return total, True
    return total, False


def _one(connection: psycopg.Connection[Any], query: str, values: dict[str, Any] | None = None) -> Any:
    row = connection.execute(query, values).fetchone()
    return row[0] if row else None


_EXISTS = "select to_regclass('store.rollup_state') is not null"
_TRY_LOCK = "select pg_try_advisory_lock(%(lock)s)"
_UNLOCK = "select pg_advisory_unlock(%(lock)s)"
_UNTIL = "select nullif(until, '-infinity') from store.rollup_state"
# The next step: a day at most. From nothing, the day of the oldest reading comes first: one look-up a datastream.
_NEXT = """
with edge as (select date_trunc('hour', now() - interval '10 minutes', 'UTC') as newest, until from store.rollup_state),
oldest as (
    select min(o.phenomenon_time) as at
    from store.datastream d cross join lateral (
        select phenomenon_time from store.observation r where r.datastream_id = d.datastream_id
        order by r.phenomenon_time limit 1) o
    where (select until from edge) = '-infinity'),
step as (
    select case when until = '-infinity'
                then coalesce(date_trunc('day', least((select at from oldest), newest), 'Europe/Tirane')
                              + interval '1 day', newest)
                else until + interval '1 day' end as till, newest, until
    from edge)
select case when until < newest then least(date_trunc('hour', till, 'UTC'), newest) end from step
"""
_NOTE = "update store.rollup_state set noting = greatest(noting, %(instant)s)"
_NEWEST = "select pg_snapshot_xmax(pg_current_snapshot())::text"
_OVER = "select pg_snapshot_xmin(pg_current_snapshot()) >= %(newest)s::xid8"
_ROLL = "select store.roll(%(till)s)"
_ROLL_LATE = "select store.roll_late(%(most)s)"
_KEEPS = "select to_regproc('store.keep_eights') is not null"
_KEEP_EIGHTS = "select store.keep_eights(%(most)s::integer)"
