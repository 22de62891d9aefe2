"""15 minutes, hour, civil day and their capture equal what Python computes, on every tier, also for late readings."""

import math
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.db.support import refresh, store

TIRANE = ZoneInfo("Europe/Tirane")


def quarter(time):
    return time.replace(minute=time.minute // 15 * 15, second=0, microsecond=0)


def hour(time):
    return time.replace(minute=0, second=0, microsecond=0)


def day(time):
    midnight = datetime.combine(time.astimezone(TIRANE).date(), datetime.min.time(), TIRANE)
    return midnight.astimezone(UTC)


BUCKETS = {
    "select bucket, total, n, mean, min, max, sum, first, last from qytet.observation_15min "
    "where datastream_id = %s order by bucket": quarter,
    "select bucket, total, n, mean, min, max, sum, first, last from qytet.observation_hour "
    "where datastream_id = %s order by bucket": hour,
    "select bucket, total, n, mean, min, max, sum, first, last from qytet.observation_day "
    "where datastream_id = %s order by bucket": day,
}


def computed(rows, bucket):
    """The aggregate by Python alone: suspect, failed, missing and null stay out of all but `total`."""
    groups = defaultdict(list)
    for time, value, quality in sorted(rows):
        groups[bucket(time)].append(value if quality <= 2 else None)
    found = []
    for start in sorted(groups):
        good = [value for value in groups[start] if value is not None]
        some = (
            (sum(good) / len(good), min(good), max(good), sum(good), good[0], good[-1])
            if good
            else (None,) * 6
        )
        found.append((start, len(groups[start]), len(good), *some))
    return found


QUARTERS = "select bucket, quarters from qytet.observation_hour where datastream_id = %s order by bucket"
HOURS = "select bucket, hours, hour_sum, hour_max from qytet.observation_day where datastream_id = %s order by bucket"


def capture(rows):
    """How many quarters of each hour have a good reading; of each day its captured hours: number, sum and highest."""
    quarters, days = {}, {}
    for start, _, n, *_ in computed(rows, quarter):
        quarters[hour(start)] = quarters.get(hour(start), 0) + (n > 0)
    for start, _, _, mean, *_ in computed(rows, hour):
        days.setdefault(day(start), []).extend([mean] if quarters[start] >= 3 else [])
    return quarters, {
        start: (len(some), pytest.approx(math.fsum(some)), pytest.approx(max(some)))
        if some
        else (0, None, None)
        for start, some in days.items()
    }


def check(db, stream, rows):
    quarters, days = capture(rows)
    assert dict(db.execute(QUARTERS, (stream,)).fetchall()) == quarters
    assert {row[0]: row[1:] for row in db.execute(HOURS, (stream,)).fetchall()} == days
    for query, bucket in BUCKETS.items():
        found = [(row[0].astimezone(UTC), *row[1:]) for row in db.execute(query, (stream,)).fetchall()]
        expected = computed(rows, bucket)
        assert [row[:3] for row in found] == [row[:3] for row in expected]
        for one, other in zip(found, expected, strict=True):
            assert [None if v is None else pytest.approx(v, rel=1e-9, abs=1e-9) for v in other[3:]] == list(
                one[3:]
            )


def some_readings(start, hours, seed, step=timedelta(seconds=397)):
    """Readings at odd seconds and on the buckets' edges, of every quality, some without value."""
    rng = random.Random(seed)
    end = start + timedelta(hours=hours)
    times, time = set(), start
    while time < end:
        times.add(time)
        times.add(quarter(time))
        time += step
    qualities = [1, 1, 1, 2, 3, 4, 9]
    return [
        (time, None if rng.random() < 0.1 else round(rng.uniform(-20, 400), 3), rng.choice(qualities))
        for time in sorted(times)
    ]


@pytest.mark.parametrize(
    ("start", "hours"),
    [
        (datetime(2026, 3, 27, 23, tzinfo=UTC), 72),  # 2026-03-29 has 23 hours in Tirana
        (datetime(2026, 10, 23, 22, tzinfo=UTC), 73),  # 2026-10-25 has 25
        (datetime(2025, 12, 31, 20, tzinfo=UTC), 8),  # a new year
    ],
    ids=["23-hour day", "25-hour day", "new year"],
)
def test_aggregates_equal_pythons(db, place, tier, start, hours):
    """Count, mean, min, max, sum, first and last of each bucket are right, on Community once its jobs have run."""
    rows = some_readings(start, hours, seed=hours)
    store(db, place.pm2_5, rows)
    refresh(db, tier)
    check(db, place.pm2_5, rows)


def test_days_of_23_and_25_hours_are_one_bucket(db, place, tier):
    """A reading each hour makes 23 on the day that the clock goes forward, 25 on the day it goes back."""
    for first, expected in (
        (datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
        (datetime(2026, 10, 24, 22, tzinfo=UTC), 25),
    ):
        store(db, place.no2, [(first + timedelta(hours=n), 1.0, 1) for n in range(-24, 49)])
        query = "select total from qytet.observation_day where datastream_id = %s and bucket = %s"
        refresh(db, tier)
        assert db.execute(query, (place.no2, first)).fetchone() == (expected,)


def test_late_readings_show_up(db, place, tier):
    """Readings that come months after their bucket was computed change it, and only it."""
    start = datetime(2026, 1, 10, tzinfo=UTC)
    rows = some_readings(start, 6, seed=3)
    store(db, place.pm2_5, rows)
    refresh(db, tier)
    late = [(start + timedelta(hours=2, seconds=n), 500.0 + n, 1) for n in (1, 2, 3)]
    older = [(start - timedelta(days=300), 7.0, 1)]
    store(db, place.pm2_5, late + older)
    refresh(db, tier)
    check(db, place.pm2_5, [*rows, *late, *older])


def test_the_newest_readings_need_no_refresh(db, place, tier):
    """What was stored a moment ago is in all three aggregates at once."""
    refresh(db, tier)
    now = datetime.now(UTC).replace(microsecond=0)
    rows = [(now - timedelta(seconds=n), float(n), 1) for n in range(5)]
    store(db, place.no2, rows)
    check(db, place.no2, rows)


def test_a_bucket_without_good_values_has_no_mean(db, place, tier):
    """A bucket of suspect and null readings counts them and has neither mean nor extremes."""
    time = datetime(2026, 5, 1, 12, tzinfo=UTC)
    rows = [(time, 5.0, 3), (time + timedelta(seconds=1), None, 1), (time + timedelta(seconds=2), 9.0, 4)]
    store(db, place.no2, rows)
    refresh(db, tier)
    row = db.execute(
        "select total, n, mean, min, max, first, last from qytet.observation_hour "
        "where datastream_id = %s and bucket = %s",
        (place.no2, time),
    ).fetchone()
    assert row == (3, 0, None, None, None, None, None)
