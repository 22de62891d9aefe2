"""Water: the least flow of civil nights, its baseline and leaks, limits of quality, volumes and tanks."""

import statistics
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.db.places import ALL, Place, at
from tests.db.support import refresh

TIRANA = ZoneInfo("Europe/Tirane")
QUARTER = timedelta(minutes=15)
NIGHT = "select * from qytet.night_flow(%s, %s, %s, %s, %s)"
QUALITY = "select * from qytet.water_quality_now(%s, %s, %s)"
BALANCE = "select * from qytet.water_balance(%s, %s, %s, %s, %s)"
TANK = "select * from qytet.tank(%s, %s, %s, %s, %s, %s)"


def local(day):
    """The start of a civil day in Tirana, as an instant of UTC."""
    year, month, number = (int(part) for part in day.split("-"))
    return datetime(year, month, number, tzinfo=TIRANA).astimezone(UTC)


def flows(since, till, flow):
    """A reading each quarter; `flow` is given civil time."""
    count = int((till - since) / QUARTER)
    return [(t, flow(t.astimezone(TIRANA))) for t in (since + QUARTER * n for n in range(count))]


def usual(civil):
    """40 m3/h by day, 20 by night, and the least from 02:45 to 03:00."""
    if (civil.hour, civil.minute) == (2, 45):
        return 12.0
    return 20.0 if civil.hour in (1, 2, 3, 4) else 40.0


def nights(place, since, till):
    rows = place.ask(NIGHT, place.cities, ALL, ALL, local(since), local(till))
    return {row["time"].astimezone(TIRANA).date().isoformat(): row for row in rows}


def test_the_nights_of_the_clock_change(db, tier):
    """02:00 to 04:00 is an hour in March, three in October; what lies just outside does not count."""
    place = Place(db)
    place.device("dma", ["water_flow_rate"])
    traps = {  # just outside of the window, by civil time
        at("2026-03-28T23:45:00"): 1.0,  # 00:45
        at("2026-03-29T00:45:00"): 1.0,  # 01:45, and the clock goes to 03:00
        at("2026-03-29T01:15:00"): 8.0,  # 03:15
        at("2026-03-29T02:00:00"): 1.0,  # 04:00
        at("2026-10-24T23:45:00"): 1.0,  # 01:45
        at("2026-10-25T00:00:00"): 7.0,  # 02:00 for the first time
        at("2026-10-25T03:00:00"): 1.0,  # 04:00
    }
    for start, end in (("2026-03-28", "2026-03-31"), ("2026-10-24", "2026-10-27")):
        rows = flows(local(start), local(end), lambda _: 20.0)
        place.store({"dma/water_flow_rate": [(t, traps.get(t, value)) for t, value in rows]})
    refresh(db, tier)
    spring, autumn = nights(place, "2026-03-28", "2026-03-31"), nights(place, "2026-10-24", "2026-10-27")
    assert {day: row["night_flow"] for day, row in spring.items()} == {
        "2026-03-28": 20, "2026-03-29": 8, "2026-03-30": 20,
    }  # fmt: skip
    assert {day: row["night_flow"] for day, row in autumn.items()} == {
        "2026-10-24": 20, "2026-10-25": 7, "2026-10-26": 20,
    }  # fmt: skip
    assert autumn["2026-10-25"]["time"] == local("2026-10-25")
    assert autumn["2026-10-25"]["mean_flow"] == pytest.approx((20 * 97 + 1 + 1 + 7) / 100), (
        "a day of 25 hours"
    )


def test_a_leak_shows_in_the_ratio(db, tier):
    """The baseline is the median of up to 14 applicable nights before, null under 3; a leak shows the next night."""
    place = Place(db)
    dma = place.device("dma", ["water_flow_rate:in", "water_pressure"])
    start, leak, end = local("2026-05-01"), local("2026-05-20"), local("2026-05-22")
    wobble = {day: 12 + (day * 7 % 5) / 10 for day in range(1, 32)}

    def leaky(civil):
        base = usual(civil) - 12 + wobble[civil.day] if usual(civil) == 12 else usual(civil)
        return base + (6 if civil.astimezone(UTC) >= leak else 0)

    place.store({
        "dma/water_flow_rate:in": flows(start, end, leaky),
        "dma/water_pressure": flows(start, end, lambda civil: 0.4 if civil.day == 10 and civil.hour == 20 else 3.5),
    })  # fmt: skip
    refresh(db, tier)
    found = nights(place, "2026-05-01", "2026-05-22")
    assert len(found) == 21
    low = {day: row["night_flow"] for day, row in found.items()}
    assert low["2026-05-02"] == pytest.approx(wobble[2])
    assert found["2026-05-05"]["label"] == f"{dma} · in"
    assert found["2026-05-01"]["applicable"] is False, "only four hours of pressure are known before"
    assert found["2026-05-11"]["applicable"] is False, "supply broke off in the 24 hours before"
    assert found["2026-05-11"]["pressure_min"] == 0.4
    assert found["2026-05-11"]["ratio"] is None
    assert found["2026-05-12"]["applicable"] is True
    assert found["2026-05-04"]["baseline"] is None, "two applicable nights are too few"
    before = [wobble[day] for day in range(2, 20) if day != 11]
    assert found["2026-05-05"]["baseline"] == pytest.approx(statistics.median(before[:3]))
    assert found["2026-05-20"]["baseline"] == pytest.approx(statistics.median(before[-14:]))
    assert found["2026-05-19"]["ratio"] == pytest.approx(1, abs=0.03)
    assert found["2026-05-20"]["ratio"] == pytest.approx((wobble[20] + 6) / statistics.median(before[-14:]))
    assert found["2026-05-20"]["ratio"] > 1.4
    (alone,) = place.ask(NIGHT, place.cities, ALL, ALL, leak, local("2026-05-21"))
    assert alone == found["2026-05-20"], "the range asked for does not change a night"


def test_intermittent_supply_has_no_night_flow_to_judge(db, tier):
    """Where pressure fails each day no night is applicable; where none is measured, all are; a tank is no zone."""
    place = Place(db)
    for name, keys in [("dry", ["water_flow_rate", "water_pressure"]), ("blind", ["water_flow_rate"]),
                       ("tank", ["water_tank_level", "water_flow_rate:outlet"])]:  # fmt: skip
        place.device(name, keys)
    start, end = local("2026-06-01"), local("2026-06-06")
    place.store({
        "dry/water_flow_rate": flows(start, end, usual),
        "dry/water_pressure": flows(start, end, lambda civil: 2.5 if civil.hour < 9 else 0.0),
        "blind/water_flow_rate": flows(start, end, usual),
        "tank/water_flow_rate:outlet": flows(start, end, usual),
        "tank/water_tank_level": flows(start, end, lambda _: 3.0),
    })  # fmt: skip
    refresh(db, tier)
    rows = place.ask(NIGHT, place.cities, ALL, ALL, start, end)
    by_device = {name: [r for r in rows if r["device"].endswith(name)] for name in ("dry", "blind", "tank")}
    assert {name: len(found) for name, found in by_device.items()} == {"dry": 5, "blind": 5, "tank": 0}
    assert not any(row["applicable"] or row["ratio"] is not None for row in by_device["dry"])
    assert all(row["applicable"] and row["pressure_min"] is None for row in by_device["blind"])
    assert [row["ratio"] for row in by_device["blind"]] == [None, None, None, 1, 1]


def test_a_night_counts_when_it_is_over(db, tier):
    """A night that is still going on, and one with a single quarter, has no night flow."""
    place = Place(db)
    place.device("dma", ["water_flow_rate"])
    today = datetime.now(TIRANA).replace(hour=0, minute=0, second=0, microsecond=0)
    yesterday = (today - timedelta(days=1)).replace(hour=2)
    place.store({"dma/water_flow_rate": [(yesterday.astimezone(UTC), 9.0), (datetime.now(UTC), 30.0)]})
    refresh(db, tier)
    rows = place.ask(NIGHT, place.cities, ALL, ALL, today - timedelta(days=2), today + timedelta(days=1))
    assert [(row["night_flow"], row["mean_flow"]) for row in rows] == [(None, 9), (None, 30)]


def test_quality_keeps_its_limits_or_does_not(db):
    """At a limit is within it; beyond is not; suspect, old, or without a limit is neither."""
    place = Place(db)
    keys = ["water_ph", "water_free_chlorine", "water_turbidity", "water_conductivity", "water_temperature"]
    for name in ("good", "bad", "odd"):
        place.device(name, keys)
    now = datetime.now(UTC)
    for name, values in {"good": (9.5, 0.2, 1.0, 2500, 14), "bad": (6.4, 0.19, 1.01, 2501, 14)}.items():
        place.store({f"{name}/{key}": [(now, value)] for key, value in zip(keys, values, strict=True)})
    place.store({"odd/water_ph": [(now, 7.0)]}, quality=4)
    place.store({"odd/water_free_chlorine": [(now - timedelta(hours=3), 0.5)]})
    rows = place.ask(QUALITY, place.cities, ALL, ALL)
    ok = {(row["device"].removeprefix(f"{place.city}-"), row["property"]): row["ok"] for row in rows}
    limited = keys[:4]
    assert {key: ok["good", key] for key in limited} == dict.fromkeys(limited, True)
    assert {key: ok["bad", key] for key in limited} == dict.fromkeys(limited, False)
    assert {
        value for (device, key), value in ok.items() if device == "odd" or key == "water_temperature"
    } == {None}
    (ph,) = [row for row in rows if row["property"] == "water_ph" and row["device"].endswith("bad")]
    assert (ph["value"], ph["low"], ph["high"], ph["ucum"], ph["site_name"]) == (
        6.4,
        6.5,
        9.5,
        "[pH]",
        place.site,
    )


def test_volumes_add_up_by_civil_day(db, tier):
    """The day of 23 hours has 23 hours' volume; cities, devices and a meter's reset change no sum."""
    place = Place(db)
    first, second = place.device("a", ["water_volume_total"]), place.device("b", ["water_volume_total"])
    start = local("2026-03-28")
    hours = [start + timedelta(hours=n) for n in range(24 + 23 + 1)]
    place.store({
        "a/water_volume_total": [(t, 1000 + 2.0 * n) for n, t in enumerate(hours)],
        "b/water_volume_total": [(t, 500 + 3.0 * n if n < 30 else 3.0 * (n - 30)) for n, t in enumerate(hours)],
    })  # fmt: skip
    refresh(db, tier)
    end = local("2026-03-30")
    rows = place.ask(BALANCE, place.cities, ALL, ALL, start, end)
    m3 = {(row["time"], row["device"]): row["m3"] for row in rows}
    days = [start, local("2026-03-29")]
    assert [m3[day, first] for day in days] == [pytest.approx(48), pytest.approx(46)]
    assert m3[days[0], second] == pytest.approx(72)
    assert m3[days[1], second] == pytest.approx(69 - 3), "the way up to the reset is not known"
    (one,) = place.ask(BALANCE, ALL, ALL, [first], days[1], end)
    assert one["m3"] == pytest.approx(46)


@pytest.mark.parametrize("zone", ["Europe/Tirane", "Europe/London", "America/New_York"])
def test_a_day_that_the_range_touches_is_whole_in_any_time_zone(db, tier, zone):
    """From noon to noon: both days are whole, by the city's own clock, and so is a single afternoon's."""
    place = Place(db, zone=zone)
    place.device("dma", ["water_volume_total"])
    start, middle, end = (
        datetime(2026, 3, day, tzinfo=ZoneInfo(zone)).astimezone(UTC) for day in (28, 29, 30)
    )
    count = int((end - start) / QUARTER) + 8
    place.store({"dma/water_volume_total": [(start + QUARTER * n, 7.0 * n) for n in range(count)]})
    refresh(db, tier)
    noon = timedelta(hours=12)

    def days(since, till):
        return [(r["time"], r["m3"]) for r in place.ask(BALANCE, place.cities, ALL, ALL, since, till)]

    both = [
        (start, pytest.approx(7 * (middle - start) / QUARTER)),
        (middle, pytest.approx(7 * (end - middle) / QUARTER)),
    ]
    assert days(start + noon, middle + noon) == both
    assert days(middle + noon, end) == both[1:]
    assert days(start, middle) == both[:1]


def test_a_tank_shows_level_flows_and_its_pump(db, tier):
    """Hourly means of level and flows by channel, and the part of the time that the pump ran."""
    place = Place(db)
    tank = place.device(
        "tank", ["water_tank_level", "water_flow_rate:inlet", "water_flow_rate:outlet", "pump_running"]
    )
    place.device("dma", ["water_flow_rate"])
    start = at("2026-05-01T00:00:00")
    times = [start + QUARTER * n for n in range(8)]
    place.store({
        "tank/water_tank_level": [(t, 3 + n / 10) for n, t in enumerate(times)],
        "tank/water_flow_rate:inlet": [(t, 80.0 if n < 5 else 0.0) for n, t in enumerate(times)],
        "tank/water_flow_rate:outlet": [(t, 30.0) for t in times],
        "tank/pump_running": [(t, float(n < 5)) for n, t in enumerate(times)],
        "dma/water_flow_rate": [(t, 11.0) for t in times],
    })  # fmt: skip
    refresh(db, tier)
    end = start + timedelta(hours=2)
    rows = place.ask(TANK, place.cities, ALL, ALL, start, end, "hour")
    assert [(r["device"], r["level"], r["inlet"], r["outlet"], r["pump"]) for r in rows] == [
        (tank, pytest.approx(3.15), 80, 30, 1), (tank, pytest.approx(3.55), 20, 30, 0.25),
    ]  # fmt: skip
    raw = place.ask(TANK, place.cities, ALL, ALL, start, end, "raw")
    assert [(r["time"], r["level"], r["pump"]) for r in raw[4:6]] == [(times[4], 3.4, 1), (times[5], 3.5, 0)]


def test_a_tank_whose_meter_was_replaced_is_filled_once(db, tier):
    """In the hour of the exchange the inlet is the mean of both meters' readings, not their sum."""
    place = Place(db)
    place.device("tank", ["water_tank_level", "water_flow_rate:inlet"])
    start = at("2026-05-02T00:00:00")
    times = [start + QUARTER * n for n in range(8)]
    place.store({"tank/water_flow_rate:inlet": [(t, 80.0) for t in times[:5]]})
    successor = place.replace("tank/water_flow_rate:inlet", times[5])
    place.store({successor: [(t, 60.0) for t in times[5:]]})
    refresh(db, tier)
    rows = place.ask(TANK, place.cities, ALL, ALL, start, start + timedelta(hours=2), "hour")
    assert [(row["level"], row["inlet"]) for row in rows] == [(None, 80), (None, 65)]


def test_limits_say_where_they_come_from(db):
    """Each limit names a property of the catalogue, has a bound, and a source."""
    place = Place(db)
    rows = place.ask(
        "select l.*, p.ucum from qytet.water_limit l left join qytet.property p using (property)"
    )
    assert {row["property"]: (row["low"], row["high"]) for row in rows} == {
        "water_ph": (6.5, 9.5), "water_conductivity": (None, 2500), "water_turbidity": (None, 1),
        "water_free_chlorine": (0.2, 5), "water_pressure": (1, None),
    }  # fmt: skip
    assert all(row["ucum"] and row["source"] for row in rows)
