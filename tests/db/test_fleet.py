"""Who is silent and why: devices, gateways, cities; what each hour brought, and what happened."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.db.places import ALL, Place

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
FLEET = "select * from qytet.fleet(%s, %s, %s)"
OUTAGE = "select * from qytet.outage where city = %s order by subject"
HOURS = "select * from qytet.fleet_hour(%s, %s, %s, %s, %s)"
EVENT = "select * from qytet.event(%s, %s, %s, %s)"
OK, LATE, SILENT, HIDDEN, ASLEEP, NEVER = 1, 2, 3, 4, 5, 0


def number(place, device):
    return place.ask("select device_id from qytet.device where device = %s", device)[0]["device_id"]


def heard(place, name, ago, every=MINUTE, hours=20, state=None, **more):
    """A device whose records came every so often for some hours, the last so long ago."""
    device = place.device(name, ["rssi"], **more)
    identity, last = number(place, device), place.now - ago
    count = int(hours * HOUR / every)
    first = last - (count - 1) * every
    place.db.execute(
        "insert into store.delivery (device_id, boot, received, first_seen, last_seen)"
        " values (%s, '9f3a01c2', int8multirange(int8range(1, %s)), %s, %s)",
        (identity, count + 1, first, last),
    )
    place.db.execute("delete from store.delivery_hour where device_id = %s", (identity,))
    place.db.execute(
        "insert into store.delivery_hour (device_id, hour, received)"
        " select %(id)s, date_trunc('hour', t, 'UTC'), count(*)"
        " from generate_series(%(first)s::timestamptz, %(last)s::timestamptz, %(every)s::interval) t"
        " group by 2",
        {"id": identity, "first": first, "last": last, "every": every},
    )
    if state:
        place.db.execute(
            "insert into store.device_status (device_id, state, state_at) values (%s, %s, %s)",
            (identity, state, last),
        )
    return device


def statuses(place, devices=ALL):
    rows = place.ask(FLEET, place.cities, ALL, devices)
    return {row["device"].removeprefix(f"{place.city}-"): row["status"] for row in rows}


def outages(place):
    return [(row["cause"], row["subject"], row["devices"]) for row in place.ask(OUTAGE, place.city)]


def test_each_status(db):
    """Silent is three of a device's own intervals and five minutes, late is half of that; who sleeps is neither."""
    place = Place(db)
    quarter = 15 * MINUTE
    heard(place, "ok", MINUTE)
    heard(place, "late", 4 * MINUTE)
    heard(place, "silent", 7 * MINUTE)
    heard(place, "slow", 40 * MINUTE, every=quarter)
    heard(place, "slower", 10 * MINUTE, every=quarter)
    heard(place, "slowest", 50 * MINUTE, every=quarter)
    heard(place, "rare", 4 * HOUR, every=3 * HOUR, hours=21)
    heard(place, "asleep", 2 * HOUR, every=quarter, state="sleeping")
    heard(place, "dead", 7 * HOUR, every=quarter, hours=15, state="sleeping")
    place.device("never", ["rssi"])
    born = place.device("born", ["rssi"])
    db.execute(
        "insert into store.device_status (device_id, birth_at, firmware) values (%s, %s, '1.2.0')",
        (number(place, born), place.now - 10 * MINUTE),
    )
    assert statuses(place) == {
        "ok": OK, "late": LATE, "silent": SILENT, "slow": LATE, "slower": OK, "slowest": SILENT, "rare": OK,
        "asleep": ASLEEP, "dead": SILENT, "never": NEVER, "born": OK,
    }  # fmt: skip
    row = {r["device"]: r for r in place.ask(FLEET, place.cities, ALL, ALL)}
    of = lambda name: row[f"{place.city}-{name}"]  # noqa: E731
    assert of("ok")["interval_s"] == pytest.approx(60, rel=0.05)
    assert of("slowest")["interval_s"] == pytest.approx(900, rel=0.1)
    assert of("born")["interval_s"] == 900, "not known yet"
    assert (of("never")["seen_at"], of("never")["silent_s"]) == (None, None)
    assert of("born")["firmware"] == "1.2.0"
    assert of("silent")["silent_s"] == pytest.approx(
        7 * 60 + (datetime.now(UTC) - place.now).total_seconds(), abs=5
    )
    assert outages(place) == [("device", f"{place.city}-{name}", 1) for name in ("dead", "silent", "slowest")]


def test_what_came_late_does_not_change_the_pace(db):
    """A backlog of thousands of records after an outage leaves the usual interval as it was."""
    place = Place(db)
    device = heard(place, "a", 10 * MINUTE, every=15 * MINUTE)
    db.execute(
        "update store.delivery_hour set received = received + 5000, late = 5000 where (device_id, hour) ="
        " (select device_id, min(hour) from store.delivery_hour where device_id = %s group by 1)",
        (number(place, device),),
    )
    (row,) = place.ask(FLEET, place.cities, ALL, ALL)
    assert row["interval_s"] == pytest.approx(900, rel=0.1)
    assert row["status"] == OK


def test_a_silent_gateway_hides_its_devices(db):
    """One outage for a gateway and the devices behind it; who comes by another way, or stands alone, has its own."""
    place = Place(db)
    gateway = heard(place, "gateway", HOUR)
    for name in ("b1", "b2", "b3"):
        heard(place, name, HOUR, gateway=gateway)
    heard(place, "by-itself", MINUTE, gateway=gateway)
    heard(place, "alone", HOUR)
    for name in ("c1", "c2"):
        heard(place, name, MINUTE)
    assert statuses(place) == {
        "gateway": SILENT, "b1": HIDDEN, "b2": HIDDEN, "b3": HIDDEN, "by-itself": OK, "alone": SILENT, "c1": OK,
        "c2": OK,
    }  # fmt: skip
    assert outages(place) == [("device", f"{place.city}-alone", 1), ("gateway", gateway, 4)]
    assert statuses(place, [f"{place.city}-b1"]) == {"b1": HIDDEN}, "whoever asks for one is told the same"


def test_a_gateway_that_measures_nothing_is_heard_through_others(db):
    """A gateway without records of its own lives as long as what it relays, and is silent when all of it is."""
    place = Place(db)
    for name, ago in (("up", MINUTE), ("down", HOUR)):
        gateway = place.device(name, ["rssi"])
        db.execute(
            "insert into store.device_status (device_id, birth_at) values (%s, %s)",
            (number(place, gateway), place.now - 30 * 24 * HOUR),
        )
        heard(place, f"{name}-1", ago, gateway=gateway)
    heard(place, "other", MINUTE)
    assert statuses(place) == {"up": OK, "up-1": OK, "down": SILENT, "down-1": HIDDEN, "other": OK}
    assert outages(place) == [("gateway", f"{place.city}-down", 2)]


def test_a_silent_city_hides_both(db):
    """Four of five silent is one outage of the city, three of four is not; devices never seen do not count."""
    place, nearly, single = Place(db), Place(db), Place(db)
    gateway = heard(place, "gateway", 3 * HOUR)
    heard(place, "behind", 3 * HOUR, gateway=gateway)
    heard(place, "a", 2 * HOUR)
    heard(place, "b", 90 * MINUTE)
    heard(place, "ok", MINUTE)
    for name in ("never-1", "never-2", "never-3"):
        place.device(name, ["rssi"])
    assert statuses(place) == {
        "gateway": HIDDEN, "behind": HIDDEN, "a": HIDDEN, "b": HIDDEN, "ok": OK, "never-1": NEVER, "never-2": NEVER,
        "never-3": NEVER,
    }  # fmt: skip
    (row,) = place.ask(OUTAGE, place.city)
    assert (row["cause"], row["subject"], row["devices"]) == ("city", place.city, 4)
    assert row["since"] == place.now - 90 * MINUTE
    assert row["lasting_s"] == pytest.approx(5400, abs=60)
    for name in ("a", "b", "c"):
        heard(nearly, name, HOUR)
    heard(nearly, "ok", MINUTE)
    assert outages(nearly) == [("device", f"{nearly.city}-{name}", 1) for name in ("a", "b", "c")]
    heard(single, "a", HOUR)
    assert outages(single) == [("device", f"{single.city}-a", 1)], "one device is no city"


def test_a_row_says_how_the_device_does(db):
    """Health from its newest readings, boots of 24 hours, and records that are missing; a retired device has no row."""
    place = Place(db)
    device = place.device("a", ["rssi", "battery_level", "battery_voltage", "backlog_records"], profile="air")
    gone = place.device("gone", ["rssi"])
    db.execute(
        "update store.device set valid = tstzrange('2024-01-01Z', now() - interval '1 hour') where name = %s",
        (gone,),
    )
    values = {"rssi": -71, "battery_level": 83, "battery_voltage": 3.9, "backlog_records": 12}
    place.store({f"a/{key}": [(place.now, value)] for key, value in values.items()})
    for boot, ago, received in (("aaaaaaaa", 30 * HOUR, "{[1,9)}"), ("bbbbbbbb", 3 * HOUR, "{[1,5),[7,9)}"),
                                ("cccccccc", HOUR, "{[2,4)}")):  # fmt: skip
        db.execute(
            "insert into store.delivery (device_id, boot, received, first_seen) values (%s, %s, %s, %s)",
            (number(place, device), boot, received, place.now - ago),
        )
    (row,) = place.ask(FLEET, place.cities, ALL, ALL)
    assert {key: row[key] for key in values} == values
    assert (row["boots_24h"], row["missing"], row["status"], row["profile"]) == (2, 2 + 1, OK, "air")


@pytest.mark.parametrize("minute", [0, 59])
def test_hours_show_what_arrived(db, minute):
    """From a device's first record on: 1 for an hour in which something came, 0 for one without."""
    place = Place(db)
    place.now = place.now.replace(minute=minute, second=30) - HOUR
    device = heard(place, "a", 3 * HOUR, hours=4)
    this = place.now.replace(minute=0, second=0, microsecond=0)
    rows = place.ask(HOURS, place.cities, ALL, ALL, this - 12 * HOUR, place.now)
    first = (place.now - 7 * HOUR + MINUTE).replace(minute=0, second=0, microsecond=0)
    hours = [first + n * HOUR for n in range(int((this - first) / HOUR) + 1)]
    last = place.now - 3 * HOUR
    assert [(row["time"], row["device"], row["online"]) for row in rows] == [
        (hour, device, int(hour <= last)) for hour in hours
    ]


def test_hours_of_the_devices_that_were_heard_least(db):
    """With a number only so many devices are told of: those heard in the fewest hours, the first names if equal."""
    place = Place(db)
    names = [
        heard(place, name, MINUTE, hours=hours) for name, hours in (("a", 6), ("b", 2), ("c", 6), ("d", 4))
    ]
    since = place.now - 8 * HOUR

    def told(most):
        rows = place.ask(HOURS.replace(")", ", %s)"), place.cities, ALL, ALL, since, place.now, most)
        return sorted({row["device"] for row in rows})

    assert told(2) == [names[1], names[3]]
    assert told(3) == [names[0], names[1], names[3]]
    assert told(None) == sorted(names)


def test_events_are_told_without_a_devices_words(db):
    """Boots, commands, late data and logs in the range, by time; a log shows its level and count, not its text."""
    place = Place(db)
    device = place.device("a", ["rssi"])
    identity = number(place, device)
    minute = (place.now - HOUR).replace(second=0, microsecond=0)
    db.execute(
        "insert into store.delivery (device_id, boot, received, late, first_seen)"
        " values (%s, 'abcdef01', '{[1,4)}', 3, %s)",
        (identity, minute - 2 * HOUR),
    )
    db.execute(
        "insert into store.command (command_id, device_id, name, state, asked_at, expires_at)"
        " values (%s, %s, 'reboot', 'done', %s, %s)",
        (f"{place.city}-k", identity, minute - HOUR, place.now),
    )
    for second in (1, 2, 59):
        db.execute(
            "insert into store.device_log (device_id, received_at, boot, up_ms, level, message)"
            " values (%s, %s, 'abcdef01', 1, 'warning', 'a word of the device')",
            (identity, minute + timedelta(seconds=second)),
        )
    ((this_hour,),) = db.execute(
        "select hour from qytet.delivery_hour where device = %s", (device,)
    ).fetchall()
    rows = place.ask(EVENT, place.cities, ALL, place.now - 5 * HOUR, place.now + HOUR)
    told = {(row["time"], row["kind"], row["text"]) for row in rows}
    assert told == {
        (minute - 2 * HOUR, "boot", "abcdef01"), (minute - HOUR, "command", "reboot done"),
        (minute, "log", "warning 3"), (this_hour, "late_data", "3"),
    }  # fmt: skip
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert place.ask(EVENT, place.cities, ["no-such"], place.now - 5 * HOUR, place.now + HOUR) == []
    assert len(place.ask(EVENT, place.cities, ALL, minute, minute + MINUTE)) == 1
