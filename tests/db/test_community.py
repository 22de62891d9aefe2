"""TimescaleDB Community only: the columnstore, late readings in it, and the background policies."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.db.support import run_jobs, store

OLD = datetime(2025, 3, 1, tzinfo=UTC)
COMPRESSED = """
select count(*) from timescaledb_information.chunks where hypertable_name = 'observation' and is_compressed
"""


@pytest.fixture(scope="module", params=["community"])
def tier(request):
    """This module runs on one tier."""
    return request.param


def test_old_chunks_become_a_columnstore_and_late_readings_still_fit(db, place):
    """The policy compresses old chunks; readings are the same, a late one is added, a repeated one is refused."""
    rows = [(OLD + timedelta(minutes=n), float(n), 1) for n in range(500)]
    store(db, place.pm2_5, rows)
    assert run_jobs(db, "policy_compression") == 1
    assert db.execute(COMPRESSED).fetchone()[0] >= 1
    query = "select count(*), sum(value) from qytet.observation where datastream_id = %s"
    assert db.execute(query, (place.pm2_5,)).fetchone() == (500, sum(range(500)))
    store(db, place.pm2_5, [(OLD + timedelta(seconds=30), 1000.0, 1), rows[7]])
    assert db.execute(query, (place.pm2_5,)).fetchone() == (501, sum(range(500)) + 1000)
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.execute("insert into store.observation values (%s, 9, %s, 1, 2)", (rows[8][0], place.pm2_5))


def test_the_policies_exist(db):
    """Three aggregates are refreshed and old chunks compressed by the server's own jobs."""
    jobs = db.execute(
        "select proc_name from timescaledb_information.jobs where hypertable_name is not null"
    ).fetchall()
    names = sorted(name for (name,) in jobs)
    assert names.count("policy_refresh_continuous_aggregate") == 3
    assert names.count("policy_compression") == 1


def test_aggregates_are_real_time(db):
    """No aggregate hides what its job has not reached yet."""
    rows = db.execute(
        "select view_name, materialized_only from timescaledb_information.continuous_aggregates"
    ).fetchall()
    assert sorted(rows) == [
        ("observation_15min", False),
        ("observation_day", False),
        ("observation_hour", False),
    ]
