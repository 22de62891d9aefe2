"""Rollups move on in steps and are mended where readings came late, whoever writes meanwhile."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from qytet.db import maintain as maintenance
from qytet.db import rollup
from qytet.db.migrate import connect, migrate
from tests.db.support import refresh, register_place, store
from tests.db.test_aggregates import check, some_readings

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def own(tier, migrated_url):
    """A connection to a tier that has rollups of ours."""
    if tier == "community":
        pytest.skip(
            "the Community edition has continuous aggregates; tests/db/test_community.py is about them"
        )
    with connect(migrated_url) as connection:
        yield connection


def rolled_until(db):
    return db.execute("select until from store.rollup_state").fetchone()[0]


def roll_back_to(db, instant):
    """As if the newest refresh had been at `instant`."""
    db.execute("update store.rollup_state set until = %(t)s, noting = %(t)s", {"t": instant})
    for table in ("rollup_15min", "rollup_hour", "rollup_day"):
        db.execute(f"delete from store.{table} where bucket >= %s", [instant])


def notes(db):
    return db.execute("select count(*) from store.rollup_late").fetchone()[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_order_of_storing_and_refreshing_gives_the_same(db, place, tier, seed):
    """Readings in random order, late by hours or months, over a change of the clock, with refreshes in between."""
    luck = random.Random(seed)
    rows = some_readings(NOW - timedelta(hours=40), 44, seed, timedelta(seconds=1733))
    rows += some_readings(NOW - timedelta(days=100), 30, seed, timedelta(seconds=2711))
    rows += some_readings(datetime(2025, 10, 25, 20, tzinfo=UTC), 30, seed, timedelta(seconds=1103))
    rows = [row for row in rows if row[0] < NOW + timedelta(minutes=30)]
    luck.shuffle(rows)
    for start in range(0, len(rows), 60):
        store(db, place.pm2_5, rows[start : start + 60])
        if luck.random() < 0.6:
            refresh(db, tier)
    refresh(db, tier)
    check(db, place.pm2_5, rows)


def test_a_refresh_waits_for_who_is_writing(own, migrated_url):
    """A reading that was being written when the edge moved over it is rolled up: the refresh waits for its commit."""
    place = register_place(own)
    refresh(own, "")
    roll_back_to(own, NOW - timedelta(hours=5))
    row = (NOW - timedelta(hours=3), 12.0, 1)
    with connect(migrated_url) as writer, ThreadPoolExecutor(1) as pool:
        with writer.transaction():
            store(writer, place.no2, [row])
            assert not rollup.refresh(own, seconds=0.2).whole, "nothing may move while the writer is at it"
            assert rolled_until(own) == NOW - timedelta(hours=5)
            waiting = pool.submit(rollup.refresh, own, seconds=60)
        assert waiting.result(90).whole
    assert rolled_until(own) > row[0]
    check(own, place.no2, [row])


def test_a_note_that_is_not_committed_is_not_taken(own, migrated_url):
    """A late reading whose note exists already or is just being written is computed after its commit, not before."""
    place = register_place(own)
    refresh(own, "")
    first, second = ((NOW - timedelta(days=3, hours=n), float(n), 1) for n in (1, 2))
    store(own, place.no2, [first])
    assert notes(own) == 1
    with connect(migrated_url) as writer, writer.transaction():
        store(writer, place.no2, [second])
        assert rollup.refresh(own).mended == 0, "the day is in the writer's hand"
    assert rollup.refresh(own).mended == 1
    assert notes(own) == 0
    check(own, place.no2, [first, second])


def test_what_retention_dropped_stays_in_the_rollups(own):
    """Aggregates outlive their readings, also when another reading comes late to a day that retention has dropped."""
    place = register_place(own)
    day = NOW - timedelta(days=800)
    rows = [(day + timedelta(minutes=n), float(n), 1) for n in range(5)]
    store(own, place.no2, rows)
    refresh(own, "")
    maintenance.set_retention(own, "2 years")
    try:
        maintenance.maintain(own)
        check(own, place.no2, rows)
        store(own, place.no2, [(day + timedelta(minutes=9), 9.0, 1)])
        refresh(own, "")
        check(own, place.no2, rows)
    finally:
        maintenance.set_retention(own, None)


def test_only_one_refreshes_at_a_time(own, migrated_url):
    """While another process is at it, nothing is done and nothing is waited for."""
    place = register_place(own)
    refresh(own, "")
    store(own, place.no2, [(NOW - timedelta(days=4), 1.0, 1)])
    with connect(migrated_url) as other:
        other.execute("select pg_advisory_lock(%s)", [rollup._LOCK])
        assert rollup.refresh(own).mended == 0
        other.execute("select pg_advisory_unlock(%s)", [rollup._LOCK])  # closing would free it a moment later
    assert rollup.refresh(own).mended == 1


def test_nothing_new_costs_nothing(own):
    """A second refresh finds nothing to do."""
    refresh(own, "")
    before, done = rollup.refresh(own), rollup.refresh(own)
    if done.until != before.until:  # an hour has just become full
        done = rollup.refresh(own)
    assert (done.rows, done.mended, done.whole) == (0, 0, True)


def test_an_empty_database_has_nothing_to_roll(own, empty_url):
    """Before the first reading the edge moves to the present, so that the past is late from then on."""
    with connect(empty_url) as db:
        migrate(db)
        done = rollup.refresh(db)
        assert done.whole
        assert done.until >= NOW - timedelta(hours=1)
        place = register_place(db)
        row = (NOW - timedelta(days=400), 3.0, 1)
        store(db, place.no2, [row])
        assert rollup.refresh(db).mended == 1
        check(db, place.no2, [row])
