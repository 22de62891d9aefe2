"""Lamps over time: the state of each bucket, faults from their first sign to the first of health, power, energy."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from qytet_simulators.city import lighting
from qytet_simulators.city.fleet import load_fleet
from qytet_simulators.city.model import CityModel
from tests.db.lamps import expected
from tests.db.places import ALL, Place, at
from tests.db.support import refresh

QUARTER = timedelta(minutes=15)
STATE = "select * from qytet.lamp_state(%s, %s, %s, %s, %s, %s, %s)"
FAULT = "select * from qytet.lamp_fault(%s, %s, %s, %s, %s, %s)"
POWER = "select * from qytet.light_drawn(%s, %s, %s, %s, %s, %s)"
SUNSET, SUNRISE = 16, 6  # UTC hours between which Tirana's lamps are commanded in this January
FIRST = at("2026-01-10T00:00:00")
DAYS = 4


def nights(power):
    """Readings of four days every quarter; `power(t, level)` is asked in the dark hours, and by day with level 0."""
    times = [FIRST + QUARTER * n for n in range(DAYS * 96)]
    levels = [100.0 if t.hour >= SUNSET or t.hour < SUNRISE else 0.0 for t in times]
    return [(t, power(t, v)) for t, v in zip(times, levels, strict=True)], list(
        zip(times, levels, strict=True)
    )


def healthy(t, level):
    return expected(80, level)


def died(t, level):
    return healthy(t, level) if t < FIRST + timedelta(days=1, hours=20) else min(healthy(t, level), 0.3)


def mended(t, level):
    dark = FIRST + timedelta(days=1, hours=18) <= t < FIRST + timedelta(days=2, hours=20)
    return min(healthy(t, level), 0.3) if dark else healthy(t, level)


def burner(t, level):
    return 80.0 if t.date() == (FIRST + timedelta(days=2)).date() else healthy(t, level)


def cycling(t, level):
    third_night = FIRST + timedelta(days=2, hours=16) <= t < FIRST + timedelta(days=3, hours=6)
    return 0.3 if level and third_night and t.minute % 30 else healthy(t, level)


def weak(t, level):
    return healthy(t, level) * (0.7 if t >= FIRST + timedelta(days=3, hours=16) else 1)


def unfed(t, level):
    return 0.0 if t >= FIRST + timedelta(days=3) else healthy(t, level)


HISTORY = {
    "healthy": healthy,
    "died": died,
    "mended": mended,
    "burner": burner,
    "cycling": cycling,
    "weak": weak,
}


@pytest.fixture(scope="module")
def history(migrated_url, tier):
    """Four days of lamps with one fault each, rolled up."""
    from qytet.db.migrate import connect

    with connect(migrated_url) as db:
        place = Place(db)
        keys = [f"{what}:{lamp}" for lamp in HISTORY for what in ("lamp_active_power", "lamp_dimming_level")]
        place.device("c", keys)
        for lamp, power in HISTORY.items():
            powers, levels = nights(power)
            place.store({f"c/lamp_active_power:{lamp}": powers, f"c/lamp_dimming_level:{lamp}": levels})
        place.device("u", ["lamp_active_power:unfed", "lamp_dimming_level:unfed", "lamp_supply_voltage"])
        powers, levels = nights(unfed)
        volts = [(t, 0.0 if t >= FIRST + timedelta(days=3) else 230.0) for t, _ in powers]
        place.store({"u/lamp_active_power:unfed": powers, "u/lamp_dimming_level:unfed": levels,
                     "u/lamp_supply_voltage": volts})  # fmt: skip
        refresh(db, tier)
        yield place


def by_channel(rows):
    found = {}
    for row in rows:
        found.setdefault(row["channel"], []).append(row)
    return found


@pytest.mark.parametrize("wanted", ["hour", "15min"])
def test_states_in_buckets_follow_each_lamp(history, wanted):
    """Each bucket has the state that the lamp was in; expected power and level are those of the readings."""
    found = by_channel(
        history.ask(STATE, history.cities, ALL, ALL, ALL, FIRST, FIRST + timedelta(days=DAYS), wanted)
    )
    step = QUARTER if wanted == "15min" else timedelta(hours=1)
    assert {len(rows) for rows in found.values()} == {int(timedelta(days=DAYS) / step)}
    one = {lamp: {row["time"]: row for row in rows} for lamp, rows in found.items()}
    noon, evening = (FIRST + timedelta(days=2, hours=hour) for hour in (12, 21))
    at_noon = {lamp: rows[noon]["state"] for lamp, rows in one.items()}
    assert at_noon == dict.fromkeys(one, 1) | {"burner": 5}
    at_night = {lamp: rows[evening]["state"] for lamp, rows in one.items()}
    assert at_night == dict.fromkeys(one, 2) | {"died": 4, "cycling": 6}
    last = {lamp: rows[FIRST + timedelta(days=3, hours=22)]["state"] for lamp, rows in one.items()}
    assert last == dict.fromkeys(one, 2) | {"died": 4, "weak": 7, "unfed": 0}
    assert {row["state"] for row in found["healthy"]} == {1, 2}
    assert one["healthy"][evening]["expected"] == pytest.approx(80, rel=0.01)
    assert one["mended"][FIRST + timedelta(days=2, hours=3)]["state"] == 4


def test_a_day_has_its_fault(history):
    """Civil days: the day of a fault shows it, the others are healthy."""
    rows = history.ask(
        STATE, history.cities, ALL, ALL, ["healthy", "burner"], FIRST, FIRST + timedelta(days=4), "day"
    )
    states = {(row["channel"], row["time"].date().isoformat()): row["state"] for row in rows}
    assert states["burner", "2026-01-11"] == 5, "the civil day of 12 January begins at 23:00 UTC"
    assert [state for (lamp, _), state in sorted(states.items()) if lamp == "healthy"] == [2] * 5
    assert states["burner", "2026-01-10"] == states["burner", "2026-01-12"] == 2


def test_a_fault_lasts_from_its_first_sign_to_the_first_of_health(history):
    """One row a fault: daytime does not end darkness, light does; hours are those in which it showed."""
    rows = history.ask(FAULT, history.cities, ALL, ALL, ALL, FIRST, FIRST + timedelta(days=DAYS))
    assert len({row["channel"] for row in rows}) == len(rows) == 5
    faults = {row["channel"]: row for row in rows}
    day = timedelta(days=1)

    def lasted(channel):
        row = faults[channel]
        return (
            row["state"],
            row["since_time"] - FIRST,
            row["until_time"] - FIRST,
            row["hours"],
            row["ongoing"],
        )

    hours = timedelta(hours=1)
    assert lasted("died") == (4, day + 20 * hours, 4 * day, 4 + 14 + 14, True)
    assert lasted("mended") == (4, day + 18 * hours, 2 * day + 20 * hours, 12 + 4, False)
    assert lasted("weak") == (7, 3 * day + 16 * hours, 4 * day, 8, True)
    assert lasted("burner")[0] == 5
    assert lasted("burner")[4] is False
    assert 7 <= lasted("burner")[3] <= 8, "the hours of 12 January with the sun above 5 degrees at Tirana"
    assert lasted("cycling")[0] == 6
    assert faults["died"]["site_name"] == history.site


def test_power_adds_up_and_follows_the_schedule(history):
    """The city's power is the sum of its devices'; scheduled power is what healthy lamps would draw."""
    since, till = FIRST, FIRST + timedelta(days=DAYS)

    def power(devices, wanted="hour", cities=history.cities):
        return {row["time"]: row for row in history.ask(POWER, cities, ALL, devices, since, till, wanted)}

    whole, c, u = power(ALL), power([f"{history.city}-c"]), power([f"{history.city}-u"])
    assert len(whole) == 96
    for time, row in whole.items():
        for name in ("power", "scheduled", "lamps_on"):
            assert row[name] == pytest.approx(c[time][name] + u[time][name])
    evening = whole[FIRST + timedelta(days=2, hours=21)]
    assert evening["power"] == pytest.approx(5 * 80 + 0.3 + (80 + 0.3) / 2, rel=0.01)
    assert evening["scheduled"] == pytest.approx(7 * 80, rel=0.01)
    assert evening["lamps_on"] == 6
    days = power(ALL, "day")
    civil = [t for t in whole if FIRST + timedelta(hours=23) <= t < FIRST + timedelta(hours=47)]
    mean = math.fsum(whole[t]["power"] for t in civil) / 24
    assert days[FIRST + timedelta(hours=23)]["power"] == pytest.approx(mean)


def test_a_lamp_whose_meter_was_replaced_counts_once(db, tier):
    """In the quarter, hour and day of the exchange there is one row of the lamp, and its power counts once."""
    place = Place(db)
    device = place.device("c", ["lamp_active_power:a", "lamp_dimming_level:a"])
    times = [FIRST + QUARTER * n for n in range(30)]
    exchange = times[18] + timedelta(minutes=5)
    place.store({
        "c/lamp_active_power:a": [(t, 80.0) for t in times[:19]],
        "c/lamp_dimming_level:a": [(t, 100.0) for t in times],
    })  # fmt: skip
    successor = place.replace("c/lamp_active_power:a", exchange)
    place.store({successor: [(t, 80.0) for t in [exchange, *times[19:]]]})
    refresh(db, tier)
    for wanted, buckets in (("15min", 30), ("hour", 8), ("day", 1)):
        span = (FIRST, FIRST + timedelta(hours=8), wanted)
        rows = place.ask(STATE, place.cities, ALL, ALL, ALL, *span)
        assert [row["power"] for row in rows] == [80] * buckets
        rows = place.ask(POWER, place.cities, ALL, [device], *span)
        assert [(row["power"], row["lamps_on"]) for row in rows] == [(80, 1)] * buckets


def test_energy_counts_across_a_reset(db, tier):
    """A counter that begins again at zero neither takes away nor invents energy; days are civil."""
    place = Place(db)
    place.device("c", ["lamp_energy_total:a", "lamp_energy_total:b"])
    start = at("2026-01-09T23:00:00")  # midnight in Tirana
    hours = [start + timedelta(hours=n) for n in range(49)]
    a = [(t, 100 + 0.1 * n if n < 30 else 0.1 * (n - 29)) for n, t in enumerate(hours)]
    b = [(t, 50 + 0.2 * n) for n, t in enumerate(hours)]
    place.store({"c/lamp_energy_total:a": a, "c/lamp_energy_total:b": b})
    refresh(db, tier)
    query = "select * from qytet.light_energy(%s, %s, %s, %s, %s)"
    rows = place.ask(query, place.cities, ALL, ALL, start, start + timedelta(days=2))
    assert [row["time"] for row in rows] == [start, start + timedelta(days=1)]
    # a: 24 steps of 0.1, on the second day 5 to its highest and then from 0 to 1.9 at midnight; b: 24 of 0.2
    assert rows[0]["kwh"] == pytest.approx(2.4 + 4.8)
    assert rows[1]["kwh"] == pytest.approx(0.5 + 1.8 + 0.1 + 4.8)


def test_a_simulated_city_shows_its_faults_and_no_others(db, tier):
    """Three days of Korca's lamps: dark ones and day-burners are those that the model made so; the rest is healthy."""
    fleet = load_fleet(["korce"])
    fleet = fleet.only([d.name for d in fleet.devices if d.profile.name == "lamp_controller"])
    start, end = at("2026-11-19T12:00:00"), at("2026-11-22T12:00:00")
    model = CityModel(fleet, seed=1)
    place = Place(db, fleet.cities[0].lat, fleet.cities[0].lon)
    truth = {}
    for group in model._groups:
        for number in range(1, group.channels + 1):
            fortnight = np.full(
                (len(group.devices), 1), int(start.timestamp() * 1000) // lighting._FORTNIGHT_MS
            )
            for device, found in zip(
                group.devices, lighting._condition(group, number, fortnight), strict=True
            ):
                truth[f"{place.city}-{device.name}", f"lamp{number}"] = int(found[0])
    for one in model.block(int(start.timestamp() * 1000), int(end.timestamp() * 1000)):
        keys = [key for key in one.columns if key.startswith(("lamp_active", "lamp_dim", "lamp_supply"))]
        place.device(one.device, keys)
        times = [datetime.fromtimestamp(t / 1000, UTC).replace(microsecond=0) for t in one.t_ms]
        place.store(
            {f"{one.device}/{key}": list(zip(times, one.columns[key].tolist(), strict=True)) for key in keys}
        )
    refresh(db, tier)
    rows = place.ask(FAULT, place.cities, ALL, ALL, ALL, start, end)
    found = {(row["device"], row["channel"]): row["state"] for row in rows}
    kinds = {lighting._DARK: 4, lighting._DAY_BURNER: 5, lighting._CYCLING: 6}
    assert found == {lamp: kinds[kind] for lamp, kind in truth.items() if kind in kinds}
    assert 4 in found.values()
    assert len(truth) > 2 * len(found)
    fine = place.ask(STATE, place.cities, ALL, ALL, ALL, start, start + timedelta(days=1), "15min")
    assert {r["state"] for r in fine if (r["device"], r["channel"]) not in found} == {1, 2, 3}
