"""The delivery ledger: marks, gaps and counts equal a model of Python sets; the key of a record is unique."""

from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SEQS = st.sets(st.integers(1, 30))
WRITE = """
insert into store.delivery (device_id, boot, received, rejected, dropped)
select %(device)s, '9f3a01c2', r, j, d
from (select coalesce(range_agg(int8range(n, n + 1)), '{}') as r from unnest(%(received)s::bigint[]) n) a,
     (select coalesce(range_agg(int8range(n, n + 1)), '{}') as j from unnest(%(rejected)s::bigint[]) n) b,
     (select coalesce(range_agg(int8range(n, n + 1)), '{}') as d from unnest(%(dropped)s::bigint[]) n) c
on conflict (device_id, boot) do update
set received = excluded.received, rejected = excluded.rejected, dropped = excluded.dropped
"""
COUNTS = """
select last_seq, stored_mark, received, rejected, dropped, missing from qytet.delivery where device = %s
"""
GAPS = "select state, first_seq, last_seq, records from qytet.delivery_gap where device = %s order by 1, 2"


def ranges(numbers):
    """First and last of each run of consecutive numbers."""
    found = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(received=SEQS, rejected=SEQS, dropped=SEQS)
def test_marks_and_gaps_equal_a_model(db, place, received, rejected, dropped):
    """For any numbers received, rejected and dropped: mark, counts, missing and lost ranges are the model's."""
    sent = {"received": sorted(received), "rejected": sorted(rejected), "dropped": sorted(dropped)}
    db.execute(WRITE, {"device": place.device_id, **sent})
    accounted = received | rejected | dropped
    last = max(accounted, default=0)
    missing = set(range(1, last + 1)) - accounted
    lost = dropped - received - rejected
    mark = next(n for n in range(32) if n + 1 not in accounted)
    assert db.execute(COUNTS, (place.device,)).fetchone() == (
        last,
        mark,
        len(received),
        len(rejected),
        len(lost),
        len(missing),
    )
    expected = [("dropped", first, end, end - first + 1) for first, end in ranges(lost)]
    expected += [("missing", first, end, end - first + 1) for first, end in ranges(missing)]
    assert db.execute(GAPS, (place.device,)).fetchall() == expected


def test_a_reading_is_stored_once(db, place):
    """The same datastream and instant again is refused by the key, whatever its value; the first one stands."""
    insert = "insert into store.observation values (%s, %s, %s, 1, 2)"
    time = datetime(2026, 2, 1, tzinfo=UTC)
    db.execute(insert, (time, 1.0, place.pm2_5))
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.execute(insert, (time, 2.0, place.pm2_5))
    db.execute(insert + " on conflict (datastream_id, phenomenon_time) do nothing", (time, 3.0, place.pm2_5))
    rows = db.execute("select value from qytet.reading where device = %s", (place.device,)).fetchall()
    assert rows == [(1.0,)]


def test_no_part_of_the_key_may_be_null(db, place):
    """A reading without datastream or time cannot slip past the unique key."""
    for values in ((None, 1.0, place.pm2_5), (datetime(2026, 2, 1, tzinfo=UTC), 1.0, None)):
        with pytest.raises(psycopg.errors.NotNullViolation):
            db.execute("insert into store.observation values (%s, %s, %s, 1, 2)", values)


def test_the_same_dead_letter_is_one_row(db):
    """A message that comes again raises `seen` by its digest's key instead of adding a row."""
    insert = (
        "insert into store.dead_letter (digest, topic, payload, reason) values ('\\x02', 't', '\\x00', 'not_json') "
        "on conflict (digest) do update set seen = dead_letter.seen + 1"
    )
    db.execute(insert)
    db.execute(insert)
    assert db.execute("select seen from qytet.dead_letter where topic = 't'").fetchall() == [(2,)]
