"""What the database tests share: a registered device, readings, and the jobs that the servers would run."""

import itertools
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import psycopg

from qytet.db import rollup
from qytet.db.registry import parse, register
from qytet_ingest import late

AGGREGATES = ("observation_15min", "observation_hour", "observation_day")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """A registered device and the ids of its datastreams."""

    device: str
    device_id: int
    pm2_5: int
    no2: int


def description(device: str, **changes: object) -> dict:
    known = {
        "device": device,
        "city": "tirana",
        "site": "sheshi",
        "profile": "air",
        "datastreams": ["pm2_5", "no2"],
    }
    return {
        "cities": [
            {"city": "tirana", "name": "Tirana", "time_zone": "Europe/Tirane", "lat": 41.33, "lon": 19.82}
        ],
        "sites": [
            {"city": "tirana", "site": "sheshi", "name": "Sheshi Skënderbej", "lat": 41.33, "lon": 19.82}
        ],
        "devices": [known | changes],
    }


def register_place(db: psycopg.Connection) -> Place:
    device = f"air-{next(_numbers)}"
    register(db, parse(description(device)))
    (device_id,) = db.execute("select device_id from qytet.device where device = %s", (device,)).fetchone()
    streams = dict(
        db.execute("select key, datastream_id from qytet.datastream where device = %s", (device,)).fetchall()
    )
    return Place(device, device_id, streams["pm2_5"], streams["no2"])


def store(db: psycopg.Connection, stream: int, rows: list[tuple[datetime, float | None, int]]) -> None:
    """Store readings (time, value, quality) as ingest does: once for each datastream and instant, late ones noted."""
    times, values, qualities = zip(*rows, strict=True)
    micros = np.array([int(time.timestamp()) * 1_000_000 for time in times])
    with db.transaction():
        _insert(db, stream, times, values, qualities)
        late.note(db, np.full(len(rows), stream), micros)


def _insert(db, stream, times, values, qualities) -> None:
    db.execute(_STORE, {"stream": stream, "t": list(times), "v": list(values), "q": list(qualities)})


_STORE = """
insert into store.observation (datastream_id, phenomenon_time, value, quality, time_quality)
select %(stream)s, t, v, q, 2
from unnest(%(t)s::timestamptz[], %(v)s::double precision[], %(q)s::smallint[]) as rows (t, v, q)
on conflict (datastream_id, phenomenon_time) do nothing
"""


def run_jobs(db: psycopg.Connection, procedure: str) -> int:
    """Run the jobs of one kind as the server would, the finest aggregate first; how many there were."""
    jobs = db.execute(
        "select job_id from timescaledb_information.jobs where proc_name = %s order by job_id", (procedure,)
    ).fetchall()
    for (job,) in jobs:
        db.execute("call run_job(%s)", (job,))
    return len(jobs)


def refresh(db: psycopg.Connection, tier: str) -> None:
    """Bring the aggregates up to date where they are materialised."""
    if tier == "community":
        assert run_jobs(db, "policy_refresh_continuous_aggregate") == len(AGGREGATES)
        assert not rollup.exists(db)
    else:
        assert rollup.refresh(db).whole
