"""Retention drops what is older than its interval and never what is younger, on every tier."""

from datetime import UTC, datetime, timedelta

import pytest

from qytet.db.maintain import get_retention, maintain, set_retention
from qytet.errors import InputError
from tests.db.support import run_jobs, store

CHUNK = timedelta(days=7)  # TimescaleDB drops whole chunks: what is older may stay that much longer


def aged(days):
    return datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)


def ages(db, stream):
    rows = db.execute(
        "select phenomenon_time from qytet.observation where datastream_id = %s", (stream,)
    ).fetchall()
    now = datetime.now(UTC)
    return sorted(round((now - time) / timedelta(days=1)) for (time,) in rows)


def test_dropping_keeps_everything_younger(db, place, tier):
    """`drop_observations_before` drops all that is older, but for less than a chunk, and nothing younger."""
    store(db, place.pm2_5, [(aged(days), 1.0, 1) for days in range(1, 120, 3)])
    (count,) = db.execute("select store.drop_observations_before(%s)", (aged(60),)).fetchone()
    assert count > 0
    left = ages(db, place.pm2_5)
    assert [days for days in left if days < 60] == [days for days in range(1, 120, 3) if days < 60]
    assert max(left) <= 60 + (0 if tier == "plain" else CHUNK.days)


def test_a_retention_is_enforced(db, place, tier):
    """After `set_retention` and a night (the server's job, or `maintain`), what is older is gone."""
    how = set_retention(db, "50 days")
    assert get_retention(db) == "50 days"
    assert ("job drops" in how) == (tier == "community")
    store(db, place.pm2_5, [(aged(days), 1.0, 1) for days in (1, 49, 70, 400)])
    if tier == "community":
        assert run_jobs(db, "policy_retention") == 1
    else:
        assert maintain(db).dropped > 0
    assert ages(db, place.pm2_5) == [1, 49]
    set_retention(db, None)
    assert get_retention(db) is None
    store(db, place.pm2_5, [(aged(400), 1.0, 1)])
    assert maintain(db).dropped == 0
    assert ages(db, place.pm2_5) == [1, 49, 400]


@pytest.mark.parametrize("keep", ["", "soon", "1 hour", "-2 years", "23:59:59"])
def test_a_senseless_retention_is_refused(db, keep):
    """What is no interval, or shorter than a day, is refused, and the retention stays as it was."""
    set_retention(db, "3 years")
    with pytest.raises(InputError):
        set_retention(db, keep)
    assert get_retention(db) == "3 years"
    set_retention(db, None)


def test_maintain_mends_the_latest_values(db, place):
    """A latest value that was never written, or lags behind, is the newest reading after `maintain`."""
    old, new = aged(3), aged(2)
    store(db, place.pm2_5, [(old, 1.0, 1), (new, 2.0, 3)])
    store(db, place.no2, [(new, None, 9)])
    db.execute("insert into store.latest values (%s, %s, 1, 1, 2)", (place.pm2_5, old))
    assert maintain(db).latest_mended >= 2
    query = "select key, phenomenon_time, value, quality from qytet.latest where device = %s order by key"
    assert db.execute(query, (place.device,)).fetchall() == [("no2", new, None, 9), ("pm2_5", new, 2.0, 3)]
    assert maintain(db).latest_mended == 0


def test_maintain_keeps_a_latest_value_that_outlived_its_reading(db, place):
    """When the last reading of a silent sensor is dropped, `latest` still says when it was heard."""
    db.execute("insert into store.latest values (%s, %s, 5, 1, 2)", (place.pm2_5, aged(900)))
    maintain(db)
    assert db.execute("select value from qytet.latest where device = %s", (place.device,)).fetchall() == [
        (5,)
    ]
