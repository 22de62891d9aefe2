"""The air quality index and the legal limits are what the tables of EEA, directives and Python say, on every tier."""

import itertools
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from qytet.db.migrate import connect, migrate
from tests.db.network import ALL, ask, network
from tests.db.support import refresh, store
from tests.db.test_aggregates import day, hour, quarter

TIRANE = ZoneInfo("Europe/Tirane")
_number = itertools.count(1)

INDEX = "select * from qytet.air_index(%s, %s, %s, %s, %s)"
NOW = "select * from qytet.air_index_now(%s, %s, %s)"
EXCEEDANCE = "select * from qytet.air_exceedance(%s, %s, %s, %s, %s, %s)"

# EEA 2024: upper bounds of bands 1 to 5, ug/m3, read from its page and written here by hand.
BOUNDS = {
    "pm2_5": (5, 15, 50, 90, 140),
    "pm10": (15, 45, 120, 195, 270),
    "no2": (10, 25, 60, 100, 150),
    "o3": (60, 100, 120, 160, 180),
    "so2": (20, 40, 125, 190, 275),
}
# Directive (EU) 2024/2881 from 2030, by hand: averaging, limit, how often a year.
LIMITS = {
    ("pm2_5", "day"): (25, 18),
    ("pm2_5", "year"): (10, None),
    ("pm10", "day"): (45, 18),
    ("pm10", "year"): (20, None),
    ("no2", "hour"): (200, 3),
    ("no2", "day"): (50, 18),
    ("no2", "year"): (20, None),
    ("so2", "hour"): (350, 3),
    ("so2", "day"): (50, 18),
    ("so2", "year"): (20, None),
    ("o3", "8h"): (120, 18),
    ("co", "8h"): (10, 0),
    ("co", "day"): (4, 18),
}


def test_bands_at_every_bound(db):
    """A bound belongs to the band below it, and what is a little above to the next; 5.0, 5.4 and 5.5 of PM2.5 too."""
    cases = [("pm2_5", 5.0, 1), ("pm2_5", 5.4, 2), ("pm2_5", 5.5, 2), ("no2", -0.6, 1), ("pm10", 0.0, 1)]
    for name, bounds in BOUNDS.items():
        for band, hi in enumerate(bounds, 1):
            cases += [(name, float(hi), band), (name, hi + 1e-9, band + 1), (name, hi - 1e-9, band)]
        cases.append((name, 5000.0, 6))
    cases += [("co", 5.0, None), ("pm2_5", None, None), ("", 1.0, None)]
    query = """
        select array_agg(qytet.eaqi(p, v) order by i)
        from unnest(%s::text[], %s::float8[]) with ordinality rows (p, v, i)"""
    ((found,),) = ask(db, query, [name for name, _, _ in cases], [value for _, value, _ in cases])
    assert found == [band for _, _, band in cases]


def test_the_bands_are_listed(db):
    """qytet.air_band lists the six bands of each pollutant, the last without an upper bound."""
    rows = ask(db, "select property, band, hi from qytet.air_band")
    assert sorted(rows, key=str) == sorted(
        ((name, band, hi) for name, bounds in BOUNDS.items() for band, hi in enumerate((*bounds, None), 1)),
        key=str,
    )


def test_the_limits_of_2030_are_listed(db):
    """qytet.air_limit holds exactly the limits of Directive (EU) 2024/2881, each with its source."""
    rows = ask(
        db,
        "select property, averaging, limit_value, allowed, source from qytet.air_limit where directive = %s",
        "2024/2881",
    )
    assert {row[:2]: row[2:4] for row in rows} == LIMITS
    assert len(rows) == len(LIMITS)
    assert all(row[4] for row in rows)


def station(db, keys):
    name = f"air-index-{next(_number)}"
    ids = network(db, [("tirana", "sheshi", name, keys)])
    return name, {key: ids[f"{name}/{key}"] for key in keys}


def quarters(db, stream, start, *values, quality=1):
    """One reading in each quarter; None leaves a quarter out."""
    rows = [(start + timedelta(minutes=15 * n), v, quality) for n, v in enumerate(values) if v is not None]
    if rows:
        store(db, stream, rows)


HOUR = timedelta(hours=1)
START = datetime(2026, 6, 1, 8, tzinfo=UTC)


def rated(db, name, hours=1, start=START):
    """(index, worst) of a station's hours."""
    return [row[12:14] for row in ask(db, INDEX, ALL, ALL, [name], start, start + hours * HOUR)]


STATIONS = [
    ({"no2": 26.0, "pm2_5": 3.0, "o3": 61.0}, (3, "no2")),
    ({"no2": 5.0, "pm10": 300.0, "o3": 181.0}, (6, "pm10")),
    ({"no2": 5.0, "pm2_5": 5.0, "o3": 60.0}, (1, "pm2_5")),
    ({"no2": 5.0, "pm2_5": 5.0, "o3": 60.0, "so2": 126.0}, (4, "so2")),
    ({"no2": 5.0, "pm2_5": 5.0, "o3": None}, (0, "")),
    ({"no2": None, "pm2_5": 900.0, "o3": 10.0}, (0, "")),
    ({"no2": 5.0, "pm2_5": None, "pm10": None, "o3": 10.0}, (0, "")),
    ({"no2": 101.0, "pm2_5": 5.0}, (5, "no2")),
    ({"no2": 5.0, "pm10": 46.0}, (3, "pm10")),
    ({"pm2_5": 5.0, "o3": 10.0}, (0, "")),
]


def test_the_station_rule(db, tier):
    """NO2, particles and, where it is measured, ozone: else there is not enough data, never a part that looks good."""
    expected = {}
    for values, rating in STATIONS:
        name, ids = station(db, list(values))
        expected[name] = [rating]
        for key, value in values.items():
            quarters(db, ids[key], START, *[value] * 4)
    refresh(db, tier)
    assert {name: rated(db, name) for name in expected} == expected


def test_an_hour_needs_three_quarters(db, tier):
    """Three quarters make an hour's mean, two do not; flagged readings do not fill a quarter; late ones do."""
    name, ids = station(db, ["no2", "pm2_5"])
    for n in range(4):
        quarters(db, ids["no2"], START + n * HOUR, 5.0, 5.0, 5.0, 5.0)
    quarters(db, ids["pm2_5"], START, 10.0, None, 20.0, 60.0)
    quarters(db, ids["pm2_5"], START + HOUR, 10.0, None, None, 20.0)
    quarters(db, ids["pm2_5"], START + 2 * HOUR, 10.0, 20.0)
    quarters(db, ids["pm2_5"], START + 2 * HOUR + timedelta(minutes=30), 90.0, 90.0, quality=3)
    refresh(db, tier)
    rows = ask(db, INDEX, ALL, ALL, [name], START, START + 4 * HOUR)
    assert [row[7] for row in rows] == [30.0, None, None, None]
    assert [row[12:14] for row in rows] == [(3, "pm2_5"), (0, ""), (0, ""), (0, "")]
    store(db, ids["pm2_5"], [(START + HOUR + timedelta(minutes=20), 30.0, 1)])
    refresh(db, tier)
    assert rated(db, name, 4)[1] == (3, "pm2_5")


def test_an_outage_is_not_good_air(db, tier):
    """Hours without any reading have index 0, from the first full hour to the last that is over; names are there."""
    name, ids = station(db, ["no2", "pm2_5"])
    for stream in ids.values():
        quarters(db, stream, START, 5.0, 5.0, 5.0, 5.0)
    refresh(db, tier)
    rows = ask(db, INDEX, ["tirana"], ["sheshi"], [name], START - timedelta(minutes=59), START + 2 * HOUR)
    place = ("tirana", "sheshi", "Sheshi", name, 41.3, 19.8)
    assert rows == [
        (START, *place, 5.0, None, 5.0, None, None, 1, "pm2_5"),
        (START + HOUR, *place, *[None] * 5, 0, ""),
    ]
    assert ask(db, INDEX, ["durres"], ALL, [name], START, START + HOUR) == []
    before = hour(datetime.now(UTC)) - HOUR
    times = [row[0] for row in ask(db, INDEX, ALL, ALL, [name], before, before + 3 * HOUR)]
    assert before in times
    assert max(times) < hour(datetime.now(UTC)), "the running hour is no hour yet"


def test_now_takes_the_full_hour_or_else_says_that_it_is_provisional(db, tier):
    """The last full hour counts; if that is not enough the running hour so far; else nothing is known."""
    while True:
        (full, _), (running, _), (silent, _) = found = [station(db, ["no2", "pm10"]) for _ in range(3)]
        now = datetime.now(UTC).replace(microsecond=0)
        for stream in found[0][1].values():
            quarters(db, stream, hour(now) - HOUR, 30.0, 30.0, 30.0, None)
            store(db, stream, [(now, 500.0, 1)])
            db.execute("insert into store.latest values (%s, %s, 500, 1, 2)", (stream, now))
        for stream in found[1][1].values():
            quarters(db, stream, hour(now) - HOUR, 500.0, 500.0)
            store(db, stream, [(now, 12.0, 1)])
        refresh(db, tier)
        rows = ask(db, NOW, ALL, ALL, [full, running, silent])
        if hour(datetime.now(UTC)) == hour(now):
            break
    by_name = {row[4]: (row[0], *row[7:15]) for row in rows}
    assert by_name == {
        full: (hour(now) - HOUR, None, 30.0, 30.0, None, None, 3, "no2", False),
        running: (hour(now), None, 12.0, 12.0, None, None, 2, "no2", True),
        silent: (hour(now) - HOUR, *[None] * 5, 0, "", False),
    }
    ages = {row[4]: row[15] for row in rows}
    assert 0 <= ages[full] < 60
    assert ages[silent] is None


def captured(rows):
    """Hourly means of hours with three quarters, by Python."""
    groups = defaultdict(list)
    for time, value, quality in rows:
        if quality <= 2:
            groups[hour(time)].append((quarter(time), value))
    return {
        start: sum(v for _, v in some) / len(some)
        for start, some in groups.items()
        if len({q for q, _ in some}) >= 3
    }


def eights(hours):
    """(day it ends on, mean, begin) of every eight hours with six."""
    for last in (min(hours) + n * HOUR for n in range(int((max(hours) - min(hours)) / HOUR) + 8)):
        some = [hours[t] for t in (last - n * HOUR for n in range(8)) if t in hours]
        if len(some) >= 6:
            yield day(last), sum(some) / len(some), last - 7 * HOUR


def means(averaging, rows, till):
    """{begin of hour or day: (mean, begin of the mean)} of those that begin before till, by Python."""
    hours = {start: mean for start, mean in captured(rows).items() if day(start) < till}
    if averaging == "hour":
        return {start: (mean, start) for start, mean in hours.items() if start < till}
    if averaging == "8h":
        ended = defaultdict(list)
        for start, mean, began in eights(hours):
            ended[start].append((mean, began))
        return {
            start: max(some, key=lambda one: (one[0], -one[1].timestamp()))
            for start, some in ended.items()
            if len(some) >= 18 and start < till
        }
    days = defaultdict(list)
    for start, mean in hours.items():
        days[day(start)].append(mean)
    return {start: (sum(some) / len(some), start) for start, some in days.items() if len(some) >= 18}


def some_air(start, days, seed, level):
    """Quarters with a daily course, holes of quarters and of hours, and flagged readings."""
    luck, rows = random.Random(seed), []
    for n in range(days * 96):
        time = start + timedelta(minutes=15 * n)
        if n % 96 == 0:
            scale, hole = luck.uniform(0.3, 1.8), luck.random() < 0.2
        if luck.random() < 0.08 or (hole and n % 96 < 30):
            continue
        value = level * scale * (1.6 if 40 <= n % 96 <= 75 else 0.5) + luck.uniform(-1, 1)
        rows.append((time, value, 4 if luck.random() < 0.02 else 1))
    return rows


LEVELS = {"pm2_5": 24, "pm10": 44, "no2": 110, "so2": 190, "o3": 100, "co": 6.5}


@pytest.mark.parametrize(
    ("till", "days"),
    [(datetime(2026, 4, 2, 13, 7, tzinfo=UTC), 8), (datetime(2026, 10, 29, 4, tzinfo=UTC), 9)],
    ids=["23-hour day", "25-hour day"],
)
def test_exceedances_equal_pythons(db, tier, till, days):
    """Hours, days, eight hours and years above each limit, the highest and its time, of the range and of the year."""
    name, ids = station(db, list(LEVELS))
    year = datetime(2025, 12, 31, 23, tzinfo=UTC)
    since = till - timedelta(days=days)
    data = {}
    for seed, (key, level) in enumerate(LEVELS.items()):
        data[key] = some_air(year - timedelta(days=1), 3, seed, level)
        data[key] += some_air(since - timedelta(days=2), days + 4, seed + 50, level)
        store(db, ids[key], [row for n, row in enumerate(data[key]) if n % 7])
    refresh(db, tier)
    for key, stream in ids.items():
        store(db, stream, data[key][::7])
    refresh(db, tier)
    rows = ask(db, EXCEEDANCE, ALL, ALL, [name], since, till, "2024/2881")
    assert {row[3:5] for row in rows} == set(LIMITS)
    for *_, key, averaging, limit, allowed, exceeded, this_year, highest, time in rows:
        assert (limit, allowed) == LIMITS[key, averaging]
        if averaging == "year":
            some = [m for start, m in captured(data[key]).items() if year <= start and day(start) < till]
            mean = sum(some) / len(some)
            assert (exceeded, this_year, time) == (mean > limit, mean > limit, year)
            assert highest == pytest.approx(mean)
            continue
        expected = means(averaging, data[key], till)
        ranged = {start: mean for start, mean in expected.items() if since <= start < till}
        assert exceeded == sum(mean > limit for mean, _ in ranged.values())
        assert this_year == sum(mean > limit for start, (mean, _) in expected.items() if year <= start < till)
        assert highest == pytest.approx(max(ranged.values())[0])
        assert time == max(ranged.values())[1]
    assert sum(row[7] for row in rows if row[4] != "year") > 10, "the data must exceed some limits"
    assert any(row[8] > row[7] for row in rows), "and some only earlier in the year"


def test_a_kept_mean_over_eight_hours_stands_until_a_reading_is_added(db, tier):
    """What is kept of a day answers until a reading comes to it or the day before; then the new mean does at once."""
    name, ids = station(db, ["o3"])
    starts = (day(datetime.now(UTC) - timedelta(days=n)) for n in range(6, 20))
    midnight = next(start for start in starts if day(start + timedelta(days=4)) == start + timedelta(days=4))
    days = [midnight + timedelta(days=n) for n in range(4)]
    quarters(db, ids["o3"], days[0], *[100.0] * (4 * 24 * 4))
    refresh(db, tier)

    def highest(day):
        (row,) = ask(db, EXCEEDANCE, ALL, ALL, [name], day, day + timedelta(days=1), "2024/2881")
        return row[7], row[9]

    def keep():
        (kept,) = db.execute("select store.keep_eights(1000)").fetchone()
        return kept

    db.execute("delete from store.air_eight where series = %s", (ids["o3"],))
    computed = [highest(day) for day in days]
    assert keep() >= 4
    assert keep() == 0, "all is kept"
    assert [highest(day) for day in days] == computed == [(0, 100.0)] * 4
    db.execute("update store.air_eight set mean = 777 where series = %s", (ids["o3"],))
    assert [highest(day) for day in days] == [(1, 777.0)] * 4, "the days' means come from where they are kept"
    late = days[1] + timedelta(hours=16, minutes=1)
    store(db, ids["o3"], [(late + n * timedelta(minutes=15), 1060.0, 1) for n in range(32)])
    refresh(db, tier)
    assert [highest(day) for day in days] == [(1, 777.0), (1, 580.0), (1, 520.0), (1, 777.0)]
    assert keep() == (2 if tier == "community" else 0), "rollup.refresh has done so where there is one"
    assert [highest(day) for day in days] == [(1, 777.0), (1, 580.0), (1, 520.0), (1, 777.0)]


def test_a_day_needs_18_means_over_eight_hours(db, tier):
    """The greatest of 18 means that end on a day counts; of 17 none does, nor those that reach over midnight alone."""
    name, ids = station(db, ["o3"])
    midnight = day(START)
    one, two = midnight, midnight + timedelta(days=2)
    quarters(
        db, ids["o3"], one + HOUR, *[130.0] * (4 * 21)
    )  # the first mean of six hours ends at 07, the last at 24
    quarters(db, ids["o3"], two + 2 * HOUR, *[130.0] * (4 * 22))
    refresh(db, tier)

    def found(start):
        (row,) = ask(db, EXCEEDANCE, ALL, ALL, [name], start, start + timedelta(days=1), "2024/2881")
        return row[7], row[9]

    days = [one, one + timedelta(days=1), two, two + timedelta(days=1)]
    assert [found(start) for start in days] == [(1, 130.0), (0, None), (0, None), (0, None)]


def test_no_data_is_no_exceedance_and_no_highest(db):
    """A station without readings is listed with zeros and without a highest mean; an unknown directive is an error."""
    name, _ = station(db, ["pm10"])
    rows = ask(db, EXCEEDANCE, ALL, ALL, [name], START, START + timedelta(days=3), "2008/50/EC")
    assert [row[3:] for row in rows] == [
        ("pm10", "day", 50.0, 35, 0, 0, None, None),
        ("pm10", "year", 40.0, None, 0, 0, None, None),
    ]
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="2008/50/EU"):
        ask(db, EXCEEDANCE, ALL, ALL, [name], START, START + HOUR, "2008/50/EU")


def test_what_was_rolled_up_before_tells_its_capture_too(empty_url, tier):
    """A database from before capture was counted has the same quarters, hours and sums as Python, rolled up or not."""
    rows = some_air(datetime(2026, 3, 27, 23, tzinfo=UTC), 4, 7, 20)
    with connect(empty_url) as db:
        migrate(db, upto=10)
        db.execute(
            "insert into store.property values ('no2', 'air', 'ug/m3', 0, 1, 0, 1, 'mean', '', true, '', '', '')"
        )
        stream = network(db, [("tirana", "sheshi", "old", ["no2"])])["old/no2"]
        store(db, stream, rows[::2])
        refresh(db, tier)
    with connect(empty_url) as db:
        migrate(db)
        store(db, stream, rows[1::2])
        refresh(db, tier)
        query = "select bucket, mean from qytet.observation_hour where quarters >= 3"
        assert dict(ask(db, query)) == pytest.approx(captured(rows))
        days = defaultdict(list)
        for start, mean in captured(rows).items():
            days[day(start)].append(mean)
        found = ask(db, "select bucket, hours, hour_sum, hour_max from qytet.observation_day where hours > 0")
        assert {row[0]: row[1:] for row in found} == {
            start: (len(some), pytest.approx(sum(some)), pytest.approx(max(some)))
            for start, some in days.items()
        }
