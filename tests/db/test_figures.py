"""Figures of the platform on every tier: views of one shape, hours that are forgotten in time, nothing secret."""

import hashlib
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from qytet.db.maintain import maintain, set_retention
from qytet.db.migrate import connect, migrate

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
LETTER = """
insert into store.dead_letter (digest, first_seen, topic, payload, reason, device, seen, replayed_at)
values (%s, %s, 't', '\\x00', %s, %s, %s, %s)
"""

OLD = """
insert into store.city (slug, name, time_zone, lat, lon) values ('korce', 'K', 'Europe/Tirane', 40.6, 20.8);
insert into store.site (city_id, slug, name, lat, lon) select city_id, 's', 'S', 40.6, 20.8 from store.city;
insert into store.device (name, site_id, profile) select 'd', site_id, 'air' from store.site;
insert into store.delivery (device_id, boot, received) select device_id, '9f3a01c2', '{[1,5),[8,9)}' from store.device
"""


def hour_row(db, place, hour, received=1):
    db.execute(
        "insert into store.delivery_hour (device_id, hour, received, missing) values (%s, %s, %s, 0)",
        (place.device_id, hour, received),
    )


def hours(db, place):
    found = db.execute("select hour from qytet.delivery_hour where device = %s order by hour", [place.device])
    return [row[0] for row in found]


def test_a_row_of_an_hour_names_its_place(db, place):
    """An hour says city, site and device, and counts that Grafana takes as whole numbers."""
    hour_row(db, place, HOUR, received=7)
    row = db.execute(
        "select city, site, hour, received from qytet.delivery_hour where device = %s", [place.device]
    )
    assert row.fetchall() == [("tirana", "sheshi", HOUR, 7)]


def test_any_writing_of_the_ledger_is_counted(db, place):
    """Whatever a row of the ledger becomes, by whomever, the hours of its device add up to what it says now."""
    key = (place.device_id, "9f3a01c2")
    db.execute("insert into store.delivery (device_id, boot) values (%s, %s)", key)
    assert hours(db, place) == []  # nothing arrived
    for received, rejected, dropped, duplicates in (
        ("{[1,5)}", "{}", "{[5,9)}", 0),
        ("{[1,5),[6,7)}", "{[9,10)}", "{[5,9)}", 3),
        ("{[1,3)}", "{[9,10),[20,30)}", "{[5,9),[12,13)}", 4),  # less than before: somebody mended it
        ("{[1,40)}", "{[20,30)}", "{[5,9)}", 4),
    ):
        db.execute(
            "update store.delivery set received = %s, rejected = %s, dropped = %s, duplicates = %s "
            "where device_id = %s and boot = %s",
            (received, rejected, dropped, duplicates, *key),
        )
        counted = db.execute(
            "select sum(received), sum(rejected), sum(dropped), sum(duplicate), max(missing) from qytet.delivery_hour "
            "where device = %s",
            [place.device],
        ).fetchone()
        assert (
            counted
            == db.execute(
                "select received, rejected, dropped, duplicates, missing from qytet.delivery where device = %s",
                [place.device],
            ).fetchone()
        )


def test_a_dump_that_is_loaded_is_not_counted(db, place):
    """Rows of the ledger that come by COPY, as a restore brings them, make no hours: the dump has its own."""
    with db.cursor().copy("copy store.delivery (device_id, boot, received) from stdin") as copy:
        copy.write_row((place.device_id, "9f3a01c2", "{[1,5)}"))
    assert hours(db, place) == []


def test_hours_are_kept_a_year_and_more(db, place):
    """With a short retention of readings an hour of a year ago stays, and one of 401 days ago goes."""
    old, year = HOUR - timedelta(days=401), HOUR - timedelta(days=366)
    for hour in (old, year, HOUR):
        hour_row(db, place, hour)
    set_retention(db, "30 days")
    try:
        db.execute("select store.drop_figures()")
        assert hours(db, place) == [year, HOUR]
    finally:
        set_retention(db, None)


def test_hours_outlive_as_long_as_readings(db, place):
    """Where readings are kept for longer, or for ever, hours are too; `maintain` is what drops them."""
    ancient, old = HOUR - timedelta(days=1500), HOUR - timedelta(days=900)
    for hour in (ancient, old):
        hour_row(db, place, hour)
    maintain(db)
    assert hours(db, place) == [ancient, old]
    set_retention(db, "1000 days")
    try:
        maintain(db)
        assert hours(db, place) == [old]
    finally:
        set_retention(db, None)


def test_minutes_of_ingest_are_kept_35_days(db):
    """A worker's minute of 34 days ago stays, one of 36 days ago goes."""
    for days in (34, 36):
        db.execute(
            "insert into store.ingest_minute values ('old', now() - %s * interval '1 day', "
            "1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0.5, 0, now())",
            [days],
        )
    db.execute("select store.drop_figures()")
    assert db.execute("select count(*) from qytet.ingest_minute where worker = 'old'").fetchone() == (1,)


def test_dead_letters_by_hour(db, place):
    """Letters count by the hour in which each was first seen; an unknown device has no city; what is done is over."""
    when = datetime(2026, 5, 1, 10, 20, tzinfo=UTC)
    for n, (device, reason, seen, done) in enumerate(
        (
            (place.device, "not_json", 4, None),
            (place.device, "not_json", 1, when),
            (place.device, "bad_seq", 1, None),
            ("nobody-knows", "unknown_device", 1, None),
        )
    ):
        digest = hashlib.sha256(f"{place.device}{n}".encode()).digest()
        db.execute(LETTER, (digest, when + timedelta(minutes=n), reason, device, seen, done))
    found = db.execute(
        "select hour, city, reason, letters, still_open, messages from qytet.dead_letter_hour "
        "where device in (%s, 'nobody-knows') and hour >= %s order by city desc, reason desc",
        (place.device, when - timedelta(hours=1)),
    ).fetchall()
    hour = when.replace(minute=0)
    assert found[:2] == [(hour, "tirana", "not_json", 2, 1, 5), (hour, "tirana", "bad_seq", 1, 1, 1)]
    assert found[2][:4] == (hour, "", "unknown_device", 1)
    db.execute("delete from store.dead_letter where device = 'nobody-knows'")


def test_a_range_of_letters_is_found_by_index(db):
    """Asking for the letters of some hours looks at these only, however many there are."""
    with db.transaction():
        db.execute("set local enable_seqscan = off")
        plan = db.execute(
            "explain select * from qytet.dead_letter_hour where hour >= now() - interval '6 hours'"
        ).fetchall()
    assert any("dead_letter_hour" in line for (line,) in plan)


def test_the_platform_in_one_row(db, place, tier):
    """There is one row whatever happened, with the tier, sizes and counts; rollups lag only where they are ours."""
    db.execute("insert into store.undated values (%s, '9f3a01c2', 1, 1, '{}')", [place.device_id])
    ((found, size, connections, undated, devices, streams, lag, active),) = db.execute(
        "select tier, database_bytes, connections, undated, devices, datastreams, rollup_lag_s, workers_active "
        "from qytet.platform_now"
    ).fetchall()
    assert found == tier
    assert size > 1_000_000
    assert connections >= 0
    assert undated >= 1
    assert (devices, streams) == db.execute(
        "select (select count(*) from qytet.device), (select count(*) from qytet.datastream)"
    ).fetchone()
    assert active >= 0
    maintain(db)
    (lag,) = db.execute("select rollup_lag_s from qytet.platform_now").fetchone()
    assert lag is None if tier == "community" else 0 <= lag < 4300


def test_the_role_of_dashboards_sees_no_payload(db, tier):
    """qytet_dashboards reads figures and readings, and neither letters, waiting records, devices' logs nor tables."""
    with db.transaction():
        db.execute("set local role qytet_dashboards")
        for view in (
            "delivery_hour",
            "ingest_minute",
            "dead_letter_hour",
            "reading",
            "observation_day",
            "delivery_gap",
        ):
            db.execute(f"select * from qytet.{view} limit 1".encode())
        if tier == "plain":  # elsewhere the size of a database is told to those who may connect to it
            db.execute("select tier, open_dead_letters from qytet.platform_now")
        for table in ("qytet.dead_letter", "qytet.undated", "qytet.device_log", "store.delivery_hour"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
                db.execute(f"select * from {table}".encode())


def test_a_ledger_of_before_is_counted_from_now_on(empty_url):
    """What an older version received is no part of any hour; the gap that it left is known at once."""
    with connect(empty_url) as db:
        migrate(db, upto=8)
        db.execute(OLD)
        migrate(db, upto=9)
        assert db.execute("select count(*) from qytet.delivery_hour").fetchone() == (0,)
        db.execute("update store.delivery set received = received + '{[9,10)}'::int8multirange")
        assert db.execute("select received, missing from qytet.delivery_hour").fetchall() == [(1, 3)]
