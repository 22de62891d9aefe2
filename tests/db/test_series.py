"""Buckets in the resolution that fits, newest values and counters are what Python computes, on every tier."""

import itertools
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.db.network import ALL, ask, network
from tests.db.support import refresh, store
from tests.db.test_aggregates import computed, day, hour, quarter, some_readings

BUCKET = {"15min": quarter, "hour": hour, "day": day}
START = datetime(2026, 3, 27, 23, tzinfo=UTC)  # the 29th has 23 hours in Tirana
_number = itertools.count(1)

SERIES = "select datastream_id, time, n, mean, min, max, sum, last from qytet.series(%s, %s, %s, %s)"
PROPERTY = "select * from qytet.property_series(%s, %s, %s, %s, %s, %s, %s, %s)"
LINES = "select * from qytet.lines(%s, %s, %s, %s)"
CITY = "select * from qytet.city_series(%s, %s, %s, %s, %s)"
NOW = "select * from qytet.now(%s, %s, %s, %s, %s)"
COUNTER = "select datastream_id, time, delta from qytet.counter_delta(%s, %s, %s, %s)"


def one_stream(db, key="air_temperature"):
    device = f"series-{next(_number)}"
    return network(db, [("tirana", "sheshi", device, [key])])[f"{device}/{key}"]


@pytest.mark.parametrize(
    ("wanted", "length", "expected"),
    [
        ("auto", timedelta(hours=6), "raw"),
        ("auto", timedelta(hours=6, seconds=1), "15min"),
        ("auto", timedelta(days=8), "15min"),
        ("auto", timedelta(days=8, seconds=1), "hour"),
        ("auto", timedelta(days=62), "hour"),
        ("auto", timedelta(days=62, seconds=1), "day"),
        ("raw", timedelta(days=2), "raw"),
        ("raw", timedelta(days=2, seconds=1), "15min"),
        ("raw", timedelta(days=63), "hour"),
        ("15min", timedelta(days=62), "15min"),
        ("15min", timedelta(days=63), "hour"),
        ("hour", timedelta(minutes=5), "hour"),
        ("hour", timedelta(days=900), "hour"),
        ("day", timedelta(minutes=5), "day"),
    ],
)
def test_the_resolution_fits_the_range(db, wanted, length, expected):
    """Each range gets its resolution, at the bounds too, and raw readings are never asked for over weeks."""
    query = "select qytet.resolution(%s, %s, %s)"
    assert ask(db, query, wanted, START, START + length) == [(expected,)]


@pytest.mark.parametrize("wanted", ["week", "", None])
def test_an_unknown_resolution_is_refused(db, wanted):
    """Another word is an error that says which words there are."""
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="resolution") as error:
        ask(db, SERIES, [1], START, START + timedelta(days=1), wanted)
    assert error.value.diag.message_hint == "Say auto, raw, 15min, hour or day."


def test_streams_are_chosen_by_each_word(db):
    """All, one, several and none; a datastream without channel is chosen by a dash, not by an empty word."""
    ids = network(
        db,
        [
            ("tirana", "a", "choice-1", ["wind_speed", "air_pressure:roof"]),
            ("tirana", "b", "choice-2", ["wind_speed:roof"]),
            ("durres", "c", "choice-3", ["wind_speed"]),
        ],
    )
    devices = ["choice-1", "choice-2", "choice-3"]

    def chosen(cities=ALL, sites=ALL, devices=devices, channels=ALL, properties=ALL):
        query = "select qytet.streams(%s, %s, %s, %s, %s)"
        (found,) = ask(db, query, cities, sites, devices, channels, properties)[0]
        return {key for key, stream in ids.items() if stream in found}

    assert chosen() == set(ids)
    assert chosen(devices=ALL) >= set(ids)
    assert chosen(cities=["durres"]) == {"choice-3/wind_speed"}
    assert chosen(sites=["a", "c"], properties=["wind_speed"]) == {
        "choice-1/wind_speed",
        "choice-3/wind_speed",
    }
    assert chosen(channels=["-"]) == {"choice-1/wind_speed", "choice-3/wind_speed"}
    assert chosen(channels=["roof", "-"]) == set(ids)
    assert chosen(channels=[""]) == set()
    assert chosen(devices=[]) == set()
    assert chosen(cities=["vlore"]) == set()


@pytest.mark.parametrize("wanted", list(BUCKET))
def test_buckets_equal_pythons(db, tier, wanted):
    """Every figure of every bucket is Python's, also of the day of 23 hours, late readings, and the range's edges."""
    stream = one_stream(db)
    rows = some_readings(START, 72, seed=5, step=timedelta(seconds=797))
    late = rows[7::9]
    store(db, stream, [row for row in rows if row not in late])
    refresh(db, tier)
    store(db, stream, late)
    refresh(db, tier)
    since, till = START + timedelta(hours=24), START + timedelta(hours=47)
    expected = [
        (
            stream,
            start,
            n,
            *(None if f is None else pytest.approx(f, rel=1e-9, abs=1e-9) for f in (*four, last)),
        )
        for start, _, n, *four, _, last in computed(rows, BUCKET[wanted])
        if since <= start < till
    ]
    assert len(expected) == {"15min": 92, "hour": 23, "day": 1}[wanted]
    assert ask(db, SERIES, [stream], since, till, wanted) == expected
    assert ask(db, SERIES, [], since, till, wanted) == []


def test_raw_readings_are_themselves_and_flagged_ones_are_gaps(db):
    """A raw row is its reading; a suspect, failed, missing or empty one is a row without value."""
    stream = one_stream(db)
    rows = [(START + timedelta(seconds=n), 2.5 * n, quality) for n, quality in enumerate([1, 2, 3, 4, 9])]
    rows.append((START + timedelta(seconds=9), None, 1))
    store(db, stream, rows)
    good = {START: 0.0, START + timedelta(seconds=1): 2.5}
    expected = [(stream, time, int(time in good), *[good.get(time)] * 5) for time, _, _ in rows]
    assert ask(db, SERIES, [stream], START, START + timedelta(hours=1), "auto") == expected


@pytest.mark.parametrize("wanted", list(BUCKET))
def test_sums_agree_over_all_cities_and_devices(db, tier, wanted):
    """Sums over All, over each city, over each device, and of the city series are one and the same."""
    prefix = f"sum-{next(_number)}"
    cities = {"tirana": 3, "durres": 2, "korce": 1}
    devices = [
        (city, f"{city}-s", f"{prefix}-{city}-{n}", ["vehicle_count:lane1", "vehicle_count:lane2"])
        for city, many in cities.items()
        for n in range(many)
    ]
    ids = network(db, devices)
    luck, start = random.Random(3), START - timedelta(days=14 * list(BUCKET).index(wanted))
    total = defaultdict(float)
    for stream in ids.values():
        rows = [
            (start + timedelta(minutes=7 * n), float(luck.randrange(30)), luck.choice([1, 1, 3]))
            for n in range(300)
        ]
        store(db, stream, rows)
        for time, value, quality in rows:
            if quality <= 2:
                total[BUCKET[wanted](time)] += value
    refresh(db, tier)
    till = start + timedelta(days=2)

    def summed(cities=ALL, devices=ALL):
        found = defaultdict(float)
        for row in ask(db, PROPERTY, cities, ALL, devices, ALL, "vehicle_count", start, till, wanted):
            found[row[0]] += row[9] or 0
        return found

    def added(parts):
        found = defaultdict(float)
        for time, value in itertools.chain.from_iterable(part.items() for part in parts):
            found[time] += value
        return found

    by_city = [{} for _ in cities]
    for part, city in zip(by_city, cities, strict=True):
        for row in ask(db, CITY, [city], "vehicle_count", start, till, wanted):
            part[row[0]] = row[5]
            assert row[1] == city
            assert row[7] <= cities[city]
    assert summed() == total
    assert added(summed(cities=[city]) for city in cities) == total
    assert added(summed(devices=[device]) for _, _, device, _ in devices) == total
    assert added(by_city) == total
    assert summed(cities=[]) == {}


def test_a_city_counts_its_devices_and_weighs_by_readings(db, tier):
    """A city's mean is over all good readings, not over devices; devices without any do not count."""
    names = [f"city-{next(_number)}" for _ in range(3)]
    ids = network(db, [("korce", "s", name, ["relative_humidity"]) for name in names])
    many, few, bad = (ids[f"{name}/relative_humidity"] for name in names)
    store(db, many, [(START + timedelta(minutes=n), 10.0, 1) for n in range(9)])
    store(db, few, [(START, 60.0, 1)])
    store(db, bad, [(START, 99.0, 4)])
    refresh(db, tier)
    row = (START, "korce", 15.0, 10.0, 60.0, 150.0, 10, 2)
    for wanted, end in (
        ("auto", timedelta(minutes=15)),
        ("hour", timedelta(hours=1)),
        ("day", timedelta(days=1)),
    ):
        assert ask(db, CITY, ["korce"], "relative_humidity", START, START + end, wanted) == [row]


def test_rows_bear_names_and_labels(db):
    """Rows name city, site, device and channel; the label is the device, or device and channel."""
    name = f"label-{next(_number)}"
    ids = network(db, [("tirana", "sheshi", name, ["leak_noise_level", "leak_noise_level:north"])])
    for stream in ids.values():
        store(db, stream, [(START, 50.0, 1)])
    rows = ask(
        db, PROPERTY, ALL, ALL, [name], ALL, "leak_noise_level", START, START + timedelta(hours=1), "auto"
    )
    assert [row[:6] for row in rows] == [
        (START, "tirana", "sheshi", name, "", name),
        (START, "tirana", "sheshi", name, "north", f"{name} · north"),
    ]


def test_lines_are_those_of_the_highest_or_lowest_now(db, tier):
    """Of three channels the two highest or lowest now, with all their datastreams, by time and label; none of none."""
    prefix = f"lines-{next(_number)}"
    names = [f"{prefix}-{letter}" for letter in "abc"]
    ids = network(db, [("tirana", "sheshi", name, ["leak_noise_level:north"]) for name in names])
    streams = [ids[f"{name}/leak_noise_level:north"] for name in names]
    for stream, value in zip(streams, (5.0, None, 9.0), strict=True):
        store(db, stream, [(START, 3.0, 1), (START + timedelta(minutes=1), value, 1)])
        db.execute("insert into store.latest values (%s, %s, %s, 1, 2)", (stream, START, value))
    refresh(db, tier)

    def chosen(most, lowest, devices=names):
        query = "select qytet.foremost(%s, %s, %s, %s, 'leak_noise_level', %s, %s)"
        (found,) = ask(db, query, ALL, ALL, devices, ["north"], most, lowest)[0]
        return found

    a, b, c = streams
    assert chosen(2, lowest=False) == chosen(2, lowest=True) == [a, c], "what is not known comes last"
    assert chosen(1, lowest=False) == [c]
    assert chosen(1, lowest=True) == [a]
    assert chosen(9, lowest=True) == [a, b, c]
    assert chosen(9, lowest=True, devices=[]) == []
    end = START + timedelta(hours=1)
    rows = ask(db, LINES, [c, a], START, end, "hour")
    assert rows == [
        (START, f"{names[0]} · north", 4.0, 3.0, 5.0, 8.0, 2),
        (START, f"{names[2]} · north", 6.0, 3.0, 9.0, 12.0, 2),
    ]
    assert ask(db, LINES, [], START, end, "hour") == []


def test_many_lines_over_weeks_are_in_steps_of_three_hours(db, tier):
    """Beyond 12,000 hours of lines auto takes steps of three, whose figures are of all readings; a wish is kept."""
    name = f"steps-{next(_number)}"
    keys = [f"vehicle_count:lane{n}" for n in range(24)]
    ids = network(db, [("tirana", "sheshi", name, keys)])
    first = ids[f"{name}/{keys[0]}"]
    start = datetime(2026, 5, 1, tzinfo=UTC)
    rows = [(start + timedelta(minutes=20 * n), float(n), 1) for n in range(20) if n != 4]
    store(db, first, rows)
    refresh(db, tier)
    streams, till = list(ids.values()), start + timedelta(days=21)
    found = [row for row in ask(db, LINES, streams, start, till, "auto") if row[6]]
    expected = []
    for step in range(3):
        values = [v for t, v, _ in rows if int((t - start) / timedelta(hours=3)) == step]
        figures = (sum(values) / len(values), min(values), max(values), sum(values), len(values))
        if values:
            expected.append((start + timedelta(hours=3 * step), f"{name} · lane0", *figures))
    assert found == expected
    assert len([row for row in ask(db, LINES, streams, start, till, "hour") if row[6]]) == 7
    assert len([row for row in ask(db, LINES, streams[:23], start, till, "auto") if row[6]]) == 7


def test_now_is_the_newest_reading_of_what_is_in_service(db):
    """The newest reading with its place, quality and age; a datastream that has ended is not of now."""
    old, new = (f"now-{next(_number)}" for _ in range(2))
    ids = network(db, [("tirana", "sheshi", name, ["pm1"]) for name in (old, new)])
    time = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    for stream in ids.values():
        db.execute("insert into store.latest values (%s, %s, 7.5, 3, 2)", (stream, time))
    db.execute(
        "update store.datastream set valid = tstzrange(lower(valid), now()) where datastream_id = %s",
        (ids[f"{old}/pm1"],),
    )
    (row,) = ask(db, NOW, ALL, ALL, [old, new], ALL, "pm1")
    assert row[:11] == ("tirana", "sheshi", "Sheshi", new, "", new, 41.3, 19.8, time, 7.5, 3)
    assert 300 <= row[11] < 360
    assert ask(db, NOW, ["durres"], ALL, [new], ALL, "pm1") == []


def counted(readings):
    """What a counter counted from the first to the last of its readings, a fall being a new start at zero."""
    values = [value for _, value, quality in readings if quality <= 2]
    return sum(b - a if b >= a else b for a, b in itertools.pairwise(values))


@pytest.mark.parametrize("wanted", [*BUCKET, "auto"])
def test_the_parts_of_a_counters_range_make_the_whole(db, tier, wanted):
    """Over any partition of a range consumption adds up to Python's, through gaps, resets and bad readings."""
    stream = one_stream(db, "lamp_energy_total")
    luck, value, rows, time = random.Random(8), 100.0, [], START
    while time < START + timedelta(days=4):
        value += luck.uniform(0, 1)
        if len(rows) in (40, 90):
            value = 0.25
        rows.append((time, value if luck.random() < 0.95 else 1e6, 1))
        if rows[-1][1] == 1e6:
            rows[-1] = (time, 1e6, 4)
        time += timedelta(minutes=luck.choice([5, 12, 40, 300]))
    store(db, stream, rows[::2])
    refresh(db, tier)
    store(db, stream, rows[1::2])
    refresh(db, tier)
    end = START + timedelta(days=5)
    cuts = [START, *sorted(START + timedelta(minutes=luck.randrange(1, 5000)) for _ in range(6)), end]
    if wanted == "auto":  # quarters for the whole, raw readings for parts of a few hours
        cuts = [START + timedelta(hours=4 * n) for n in range(31)]
    whole = ask(db, COUNTER, [stream], START, end, wanted)
    parts = [
        row
        for since, till in itertools.pairwise(cuts)
        for row in ask(db, COUNTER, [stream], since, till, wanted)
    ]
    assert sum(row[2] for row in whole) == pytest.approx(counted(rows))
    assert sum(row[2] for row in parts) == pytest.approx(counted(rows))
    if wanted != "auto":
        assert parts == whole
    assert min(row[2] for row in whole) >= 0


def test_a_counters_bucket_says_what_it_counted(db, tier):
    """Up to the next bucket's first reading, through resets; a peak that is not known is not made up."""
    stream = one_stream(db, "water_volume_total")
    minutes = {0: 10, 50: 14, 65: 15, 100: 20, 110: 2, 130: 1, 170: 4, 400: 9, 405: 12, 410: 0, 415: 30}
    store(db, stream, [(START + timedelta(minutes=m), float(v), 1) for m, v in minutes.items()])
    refresh(db, tier)
    rows = ask(db, COUNTER, [stream], START, START + timedelta(days=1), "hour")
    # 10 to 15; 15 to 20, from zero to 2, from zero to 1; 1 to 9; from zero to 30 with the way up to 12 unseen
    assert [(row[1] - START, row[2]) for row in rows] == [
        (timedelta(hours=0), 5.0),
        (timedelta(hours=1), 8.0),
        (timedelta(hours=2), 8.0),
        (timedelta(hours=6), 30.0),
    ]
