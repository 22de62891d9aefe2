"""Lanes' figures, levels of service and stuck detectors are what Python and hand say, on every tier."""

import itertools
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from tests.db.network import ALL, ask, network
from tests.db.support import refresh, store
from tests.db.test_aggregates import day, hour, quarter

_number = itertools.count(1)

LANE = """
select * from qytet.lanes(
    qytet.streams(%s, %s, %s, %s, '{vehicle_count,vehicle_speed_mean,lane_occupancy}'), %s, %s, %s)
"""
AT = "select * from qytet.lane_at(%s, %s, %s, %s, %s)"
NOW = "select * from qytet.lane_now(%s, %s, %s, %s)"

BUCKET = {"15min": quarter, "hour": hour, "day": day}
HOURS = {"15min": 0.25, "hour": 1.0, "day": 23.0}
MIDNIGHT = datetime(2026, 3, 28, 23, tzinfo=UTC)  # the 29th has 23 hours in Tirana
MINUTE = timedelta(minutes=1)


def counter(db, lanes=1, city="tirana", site="unaza"):
    """A traffic counter; its name and, by lane, the ids of count, speed and occupancy."""
    name = f"traffic-{next(_number)}"
    properties = ("vehicle_count", "vehicle_speed_mean", "lane_occupancy")
    keys = [f"{p}:lane{n}" for n in range(1, lanes + 1) for p in properties]
    ids = network(db, [(city, site, name, keys)])
    return name, [[ids[f"{name}/{p}:lane{n}"] for p in properties] for n in range(1, lanes + 1)]


def pass_by(db, streams, bins, quality=1):
    """Store bins (time, count, speed, occupancy) of one lane."""
    for n, stream in enumerate(streams, 1):
        rows = [(row[0], None if row[n] is None else float(row[n]), quality) for row in bins]
        store(db, stream, rows)


def some_bins(start, minutes, seed, step=5):
    """Bins of a lane, one in ten without a vehicle and so without a speed."""
    luck = random.Random(seed)
    for n in range(0, minutes, step):
        count = 0 if luck.random() < 0.1 else luck.randrange(1, 60)
        speed = None if count == 0 else luck.uniform(20, 60)
        yield start + n * MINUTE, count, speed, 0.0 if count == 0 else luck.uniform(1, 40)


def test_levels_of_service_at_every_bound(db):
    """Bounds 7, 11, 16, 22 and 28 vehicles per km and lane belong to the better level; unknown is 0."""
    cases = {
        0.0: 1,
        7.0: 1,
        7.01: 2,
        11.0: 2,
        11.01: 3,
        16.0: 3,
        16.01: 4,
        22.0: 4,
        22.01: 5,
        28.0: 5,
        28.01: 6,
    }
    for density, level in [*cases.items(), (900.0, 6), (None, 0)]:
        assert ask(db, "select qytet.los(%s::float8)", density) == [(level,)]


@pytest.mark.parametrize("wanted", list(BUCKET))
def test_a_lanes_buckets_equal_pythons(db, tier, wanted):
    """Vehicles, flow, speed, occupancy, density and level of each bucket, also on the day of 23 hours."""
    name, (streams,) = counter(db)
    bins = list(some_bins(MIDNIGHT, 23 * 60, seed=2))
    pass_by(db, streams, bins[::2])
    refresh(db, tier)
    pass_by(db, streams, bins[1::2])
    refresh(db, tier)
    groups = defaultdict(list)
    for row in bins:
        groups[BUCKET[wanted](row[0])].append(row)
    rows = ask(db, LANE, ALL, ALL, [name], ALL, MIDNIGHT, MIDNIGHT + timedelta(hours=23), wanted)
    assert [row[0] for row in rows] == sorted(groups)
    assert len(rows) == {"15min": 92, "hour": 23, "day": 1}[wanted]
    for time, city, site, device, channel, label, count, flow, speed, occupancy, density, los in rows:
        some = groups[time]
        assert (city, site, device, channel, label) == ("tirana", "unaza", name, "lane1", f"{name} · lane1")
        total = sum(row[1] for row in some)
        speeds = [row[2] for row in some if row[2] is not None]
        mean = sum(speeds) / len(speeds) if total else None
        assert count == total
        assert flow == pytest.approx(total / HOURS[wanted])
        assert speed == (pytest.approx(mean) if total else None)
        assert occupancy == pytest.approx(sum(row[3] for row in some) / len(some))
        assert density == pytest.approx(flow / mean if total else 0.0)
        assert los == 1 + sum(density > bound for bound in (7, 11, 16, 22, 28))


def test_raw_bins_are_rows_with_the_flow_of_their_length(db):
    """A bin's flow follows from the lane's usual bin; flagged ones and those without a value are not known."""
    name, (streams,) = counter(db)
    bins = [
        (MIDNIGHT + n * MINUTE, count, speed, 5.0)
        for n, (count, speed) in enumerate([(6, 30), (0, None), (12, 40)])
    ]
    pass_by(db, streams, bins)
    pass_by(db, streams, [(MIDNIGHT + 3 * MINUTE, 50, 90, 99)], quality=3)
    rows = ask(db, LANE, ALL, ALL, [name], ["lane1"], MIDNIGHT, MIDNIGHT + 10 * MINUTE, "auto")
    assert [row[6:] for row in rows] == [
        (6.0, 360.0, 30.0, 5.0, 12.0, 3),
        (0.0, 0.0, None, 5.0, None, 0),  # nobody passed, but somebody stands there
        (12.0, 720.0, 40.0, 5.0, 18.0, 4),
        (None, None, None, None, None, 0),
    ]


def test_the_densest_lanes_are_those_of_the_last_quarter(db):
    """Level of service first, then flow; a lane that is not known comes last, one out of service not at all."""
    name, (thin, thick, silent, gone) = counter(db, lanes=4)
    quarter_hour = quarter(datetime.now(UTC)) - 15 * MINUTE
    for streams, count in ((thin, 10), (thick, 300), (gone, 900)):
        pass_by(db, streams, [(quarter_hour + n * MINUTE, count / 5, 50, 9) for n in (1, 2, 3, 4, 5)])
    db.execute(
        "update store.datastream set valid = tstzrange(lower(valid), now() - interval '1 s')"
        " where datastream_id = any(%s)",
        (gone,),
    )
    query = "select qytet.densest(%s, %s, %s, %s, %s)"
    found = {most: ask(db, query, ALL, ALL, [name], ALL, most)[0][0] for most in (0, 1, 2, 9)}
    if quarter(datetime.now(UTC)) - 15 * MINUTE == quarter_hour:
        assert found[0] == []
        assert found[1] == thick
        assert found[2] == sorted(thin + thick)
    assert found[9] == sorted(thin + thick + silent)


def test_a_lane_without_vehicles_has_no_speed(db, tier):
    """An empty lane has count 0, no speed and level A; a standstill and a lane without a count are not known."""
    name, (empty, jam, blind) = counter(db, lanes=3)
    times = [MIDNIGHT + n * MINUTE for n in range(0, 15, 5)]
    pass_by(db, empty, [(time, 0, 0, 0) for time in times])  # some instruments send 0 km/h
    pass_by(db, jam, [(time, 0, None, 97) for time in times])
    store(db, blind[1], [(time, 36.0, 1) for time in times])
    refresh(db, tier)
    rows = ask(db, LANE, ALL, ALL, [name], ALL, MIDNIGHT, MIDNIGHT + 15 * MINUTE, "15min")
    assert [row[6:] for row in rows] == [
        (0.0, 0.0, None, 0.0, 0.0, 1),
        (0.0, 0.0, None, 97.0, None, 0),
        (None, None, 36.0, None, None, 0),
    ]


def test_the_running_bucket_is_as_long_as_it_has_been_running(db):
    """The flow of the hour that is not over is of the time that has passed, not of an hour."""
    name, (streams,) = counter(db)
    start = hour(datetime.now(UTC))
    pass_by(db, streams, [(start, 30, 50, 5)])

    def passed():
        return min(datetime.now(UTC) - start, timedelta(hours=1)) / timedelta(hours=1)

    before = passed() - 1e-5  # a server's clock may show whole milliseconds
    (row,) = ask(db, LANE, ALL, ALL, [name], ALL, start, start + timedelta(hours=1), "hour")
    assert 30 / passed() <= row[7] <= 30 / before


@pytest.mark.parametrize("wanted", list(BUCKET))
def test_sums_agree_over_all_cities_sites_and_devices(db, tier, wanted):
    """Vehicles over All equal those over cities, over sites, over devices, and over the lanes of all."""
    start = MIDNIGHT - timedelta(days=20 + 7 * list(BUCKET).index(wanted))
    till, total, names = start + timedelta(hours=24), 0, []
    for seed, (city, lanes) in enumerate([("tirana", 2), ("tirana", 1), ("durres", 3), ("korce", 1)]):
        name, streams = counter(db, lanes, city, f"{city}-{seed}")
        names.append(name)
        for n, lane in enumerate(streams):
            bins = list(some_bins(start, 24 * 60, seed=10 * seed + n, step=11))
            store(db, lane[0], [(row[0], float(row[1]), 1) for row in bins])
            total += sum(row[1] for row in bins)
    refresh(db, tier)

    def lanes(cities=ALL, sites=ALL, devices=ALL):
        return sum(row[6] or 0 for row in ask(db, LANE, cities, sites, devices, ALL, start, till, wanted))

    assert lanes() == total
    assert sum(lanes([city]) for city in ("tirana", "durres", "korce")) == total
    assert sum(lanes(devices=[name]) for name in names) == total
    assert lanes(sites=["tirana-0", "tirana-1"]) == lanes(["tirana"])
    assert lanes(cities=[]) == lanes(sites=[]) == 0


NOON = datetime(2026, 5, 4, 12, 7, tzinfo=UTC)  # 14:07 in Tirana


def at(db, name, instant):
    return ask(db, AT, ALL, ALL, [name], ALL, instant)


def test_now_is_the_last_complete_quarter(db):
    """Figures are of the bins from 11:45 to 12:00, the speed weighted by vehicles; flagged bins do not count."""
    name, (streams,) = counter(db)
    start = NOON.replace(hour=11, minute=45)
    pass_by(db, streams, [(start - MINUTE, 99, 99, 99), (start, 10, 30, 4), (start + 5 * MINUTE, 30, 50, 8)])
    pass_by(db, streams, [(start + 6 * MINUTE, 77, 7, 77)], quality=3)
    pass_by(db, streams, [(start + 15 * MINUTE, 99, 99, 99)])
    db.execute("insert into store.latest values (%s, %s, 99, 1, 2)", (streams[0], start + 15 * MINUTE))
    place = ("tirana", "unaza", name, "lane1", f"{name} · lane1")
    density = pytest.approx(160 / 45)
    expected = (start, *place, 40.0, 160.0, 45.0, 6.0, density, 1, "Unaza", 41.3, 19.8, 0, 420.0)
    assert at(db, name, NOON) == [expected]


def stuck(db, bins, instant=NOON, quality=1):
    name, (streams,) = counter(db)
    pass_by(db, streams, bins, quality)
    ((*_, found, _),) = at(db, name, instant)
    return found


def every(minutes, many, *figures, before=NOON):
    return [(before - minutes * n * MINUTE, *figures) for n in range(many)]


@pytest.mark.parametrize(
    ("bins", "expected"),
    [
        (every(5, 6, 12, 40, 9), 1),
        (every(5, 5, 12, 40, 9), 0),
        ([*every(5, 6, 12, 40, 9)[:5], (NOON - 25 * MINUTE, 13, 40, 9)], 0),
        ([*every(5, 6, 12, 40, 9), (NOON - 30 * MINUTE, 13, 40, 9)], 1),
        (every(5, 6, 0, None, 0), 0),
        ([*every(1, 5, 3, 20, 100), (NOON - 5 * MINUTE, 4, 20, 100)], 2),
        ([(NOON - n * MINUTE, n, 20, 99 if n == 5 else 100) for n in range(9)], 0),
        (every(5, 36, 0, None, 0), 3),
        ([*every(5, 35, 0, None, 0), (NOON - 175 * MINUTE, 1, 30, 1)], 0),
        (every(5, 20, 0, None, 0), 0),
        ([], 0),
    ],
    ids=[
        "six the same",
        "five the same",
        "the sixth differs",
        "a seventh differs",
        "zeros are no pattern",
        "never free",
        "free once",
        "nobody for three hours",
        "one came",
        "silent before",
        "no readings",
    ],
)
def test_stuck_detectors(db, bins, expected):
    """Six times the same count, five minutes of 100 %, three hours of the day without a vehicle; nothing less."""
    name, (streams,) = counter(db)
    if bins:
        pass_by(db, streams, bins)
    ((*_, found, _),) = at(db, name, NOON)
    assert found == expected


def test_flags_do_not_hide_a_stuck_detector(db):
    """The flat line that quality control has flagged is what this looks for."""
    assert stuck(db, every(5, 6, 12, 40, 9), quality=3) == 1


@pytest.mark.parametrize(("hour_utc", "expected"), [(6, 0), (7, 3), (20, 3), (21, 0), (2, 0)])
def test_nobody_comes_by_night(db, hour_utc, expected):
    """Three hours without a vehicle count only if all of them are between 06 and 22 in the city (UTC + 2 in May)."""
    instant = datetime(2026, 5, 4, hour_utc, tzinfo=UTC)
    assert stuck(db, every(5, 37, 0, None, 0, before=instant), instant) == expected


def test_now_asks_as_of_now(db):
    """qytet.lane_now is lane_at of this moment, for lanes in service only."""
    name, (streams, ended) = counter(db, lanes=2)
    now = datetime.now(UTC).replace(microsecond=0)
    pass_by(db, streams, every(1, 7, 5, 30, 100, before=now))
    db.execute(
        "update store.datastream set valid = tstzrange(lower(valid), now()) where datastream_id = any(%s)",
        (ended,),
    )
    ((*row, found, _),) = ask(db, NOW, ALL, ALL, [name], ALL)
    assert (row[3:5], found) == ([name, "lane1"], 2)
