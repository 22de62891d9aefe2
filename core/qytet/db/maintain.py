"""The care of a running database: retention, the table of latest values, statistics, and what it holds."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from qytet.db import rollup
from qytet.db.tiers import Tier, detect
from qytet.errors import InputError

__all__ = ["Care", "Contents", "contents", "get_retention", "maintain", "set_retention"]

SHORTEST = timedelta(days=1)
"""A shorter retention would be a mistake more often than a wish: it is refused."""


@dataclass(frozen=True, slots=True)
class Care:
    """What `maintain` did; `dropped` counts readings on plain PostgreSQL and chunks on TimescaleDB.

    `rolled` counts rows of rollups made, and days of datastreams computed again.
    """

    dropped: int
    dropped_what: str
    latest_mended: int
    rolled: int


@dataclass(frozen=True, slots=True)
class Contents:
    """How much the database holds; `bytes` of the whole database."""

    cities: int
    sites: int
    devices: int
    datastreams: int
    open_dead_letters: int
    missing_records: int
    bytes: int


def contents(connection: psycopg.Connection[Any]) -> Contents:
    """Count what is registered and what is wrong; readings are not counted, as that reads all of them."""
    row = connection.execute(_CONTENTS).fetchone()
    return Contents(*(row or ()))


def get_retention(connection: psycopg.Connection[Any]) -> str | None:
    """How long readings are kept, in PostgreSQL's words such as `2 years`; None means for ever."""
    row = connection.execute(_RETENTION).fetchone()
    return row[0] if row else None


def set_retention(connection: psycopg.Connection[Any], keep: str | None) -> str:
    """Keep readings for an interval such as `2 years`, or for ever (None); returns how it is enforced.

    Raises InputError for what is no interval, or one shorter than a day.
    """
    with connection.transaction():
        if keep is None:
            connection.execute(_KEEP_ALL)
        else:
            _check(connection, keep)
            connection.execute(_KEEP, {"keep": keep})
        row = connection.execute(_ENFORCE, {"keep": keep}).fetchone()
    return str(row[0]) if row else ""


def maintain(connection: psycopg.Connection[Any]) -> Care:
    """Bring rollups up to date, drop readings beyond retention, mend the table of latest values, refresh statistics.

    Safe beside ingest and at any time; retention never drops what is younger than its interval.
    """
    tier = detect(connection)
    done = rollup.refresh(connection, seconds=600)  # before readings go: aggregates outlive them
    dropped = connection.execute(_DROP).fetchone()
    connection.execute(_DROP_FIGURES)
    mended = connection.execute(_MEND_LATEST).rowcount
    connection.execute(
        "analyze store.observation, store.latest, store.delivery, store.delivery_hour,"
        " store.dead_letter, store.ingest_minute"
    )
    what = "readings" if tier is Tier.PLAIN else "chunks"
    return Care(dropped[0] or 0 if dropped else 0, what, mended, done.rows + done.mended + done.kept)


def _check(connection: psycopg.Connection[Any], keep: str) -> None:
    try:
        row = connection.execute(_LONG_ENOUGH, {"keep": keep, "shortest": SHORTEST}).fetchone()
    except psycopg.DataError as error:
        raise InputError(
            f"{keep!r} is not an interval.", why=str(error).splitlines()[0], do="Say for example '2 years'."
        ) from error
    if row is None or not row[0]:
        raise InputError(f"A retention of {keep!r} is too short.", why="The shortest is one day.")


_CONTENTS = """
select (select count(*) from store.city), (select count(*) from store.site), (select count(*) from store.device),
       (select count(*) from store.datastream),
       (select count(*) from store.dead_letter where replayed_at is null),
       (select coalesce(sum(missing), 0)::bigint from qytet.delivery),
       pg_database_size(current_database())
"""
_RETENTION = "select keep::text from store.retention"
_LONG_ENOUGH = "select %(keep)s::interval >= %(shortest)s"
_KEEP_ALL = "delete from store.retention"
_KEEP = """
insert into store.retention (keep) values (%(keep)s::interval)
on conflict (one) do update set keep = excluded.keep
"""
_ENFORCE = "select store.set_retention(%(keep)s::interval)"
_DROP_FIGURES = "select store.drop_figures()"
_DROP = "select (select store.drop_observations_before(now() - keep)) from store.retention"

# One index look-up a datastream. A newer row that ingest writes meanwhile wins; a row that retention has
# outlived stays, since it still says when the sensor was last heard.
_MEND_LATEST = """
insert into store.latest as l (datastream_id, phenomenon_time, value, quality, time_quality)
select ds.datastream_id, o.phenomenon_time, o.value, o.quality, o.time_quality
from store.datastream ds
cross join lateral (
    select r.phenomenon_time, r.value, r.quality, r.time_quality from store.observation r
    where r.datastream_id = ds.datastream_id order by r.phenomenon_time desc limit 1
) o
order by ds.datastream_id
on conflict (datastream_id) do update
set phenomenon_time = excluded.phenomenon_time, value = excluded.value, quality = excluded.quality,
    time_quality = excluded.time_quality
where (excluded.phenomenon_time, excluded.value, excluded.quality, excluded.time_quality)
      is distinct from (l.phenomenon_time, l.value, l.quality, l.time_quality)
  and excluded.phenomenon_time >= l.phenomenon_time
"""
