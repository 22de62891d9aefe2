"""A lamp of now: where the sun stands, what the lamp should draw, and which state it is in."""

from datetime import timedelta

import numpy as np
import pytest

from qytet_simulators.city import sun
from qytet_simulators.city.fleet import load_fleet
from tests.db.lamps import expected
from tests.db.places import ALL, Place, at, longitude_where, steps

QUARTER = timedelta(minutes=15)
LAMP = "select channel, state, level, power, expected, rated, voltage, power_factor from qytet.lamp_now(%s, %s, %s, %s)"


def test_the_sun_stands_where_it_is_published(db):
    """NREL's worked example (Reda and Andreas 2003, table A5.1), poles and equator, within half a degree."""
    query = "select qytet.sun_elevation(%s, %s, %s)"
    for lat, lon, instant, elevation in [
        (39.742476, -105.1786, at("2003-10-17T19:30:30"), 39.872046),
        (90.0, 0.0, at("2024-03-20T03:06:00"), 0.0),  # the equinox
        (90.0, 0.0, at("2024-06-20T20:51:00"), 23.44),  # the solstice
        (-33.0, 0.0, at("2024-06-20T12:02:00"), 90 - 33 - 23.44),
    ]:
        assert db.execute(query, (lat, lon, instant)).fetchone()[0] == pytest.approx(elevation, abs=0.1)


def test_the_sun_agrees_with_other_formulas(db):
    """Every seven hours of a year over the three cities: within half a degree of NOAA's formulas."""
    instants = [at("2026-01-01T00:00:00") + timedelta(hours=7 * n) for n in range(1250)]
    t_ms = np.array([int(instant.timestamp() * 1000) for instant in instants])
    query = "select qytet.sun_elevation(%s, %s, t) from unnest(%s::timestamptz[]) t"
    for city in load_fleet().cities:
        found = np.array(db.execute(query, (city.lat, city.lon, instants)).fetchall())[:, 0]
        assert np.abs(found - sun.elevation_deg(t_ms, city.lat, city.lon)).max() < 0.5


def test_a_lamp_should_draw_what_the_formula_says(db):
    """Full, half and deeply dimmed, off, and unknown."""
    query = "select qytet.lamp_expected(%s, %s)"
    for level in (100.0, 50.0, 10.0, 0.0):
        assert db.execute(query, (90.0, level)).fetchone()[0] == pytest.approx(expected(90, level))
    assert db.execute(query, (90.0, 50.0)).fetchone()[0] == pytest.approx(47.4875)
    assert db.execute(query, (90.0, None)).fetchone()[0] is None


FULL = [(100, 90)]
OFF = [(0, 0)]
# Five reports, the newest last; (level, power) of a lamp of 90 W.
NIGHT = {
    "on": (2, FULL * 5),
    "dimmed": (3, [(50, 47.5)] * 5),
    "deep": (3, [(10, 13.5)] * 5),
    "off": (1, OFF * 5),
    "dark": (4, [(100, 0.3)] * 5),
    "darkdim": (4, [(25, 0.4)] * 5),
    "died": (4, FULL * 4 + [(100, 0.3)]),
    "starts": (1, OFF * 4 + [(100, 0.3)]),
    "cycles": (6, [(100, 90), (100, 0.3)] * 2 + FULL),
    "cycles2": (6, [(100, 0.3), (100, 90)] * 2 + [(100, 0.3)]),
    "onceoff": (2, [(100, 90), (100, 0.3), (100, 90), (100, 90), (100, 90)]),
    "weak": (7, [(100, 70)] * 5),
    "strong": (7, [(50, 60)] * 5),
    "glitch": (2, FULL * 4 + [(100, 70)]),
    "alittle": (2, [(100, 80)] * 5),
    "uncommanded": (2, [(0, 90)] * 5),
}


def lamps(place, name, cases, rated=90.0, **more):
    """A controller with a lamp for each case: known for twelve nights, then five reports up to now."""
    keys = [f"{what}:{channel}" for channel in cases for what in ("lamp_active_power", "lamp_dimming_level")]
    place.device(name, [*keys, "lamp_supply_voltage"], **more)
    nights = [place.now - timedelta(days=day) for day in range(13, 1, -1)]
    for channel, (_, reports) in cases.items():
        times = steps(place.now - timedelta(minutes=2), len(reports))
        powers = [(night, rated) for night in nights] + [
            (t, power) for t, (_, power) in zip(times, reports, strict=True)
        ]
        levels = [(night, 100.0) for night in nights] + [
            (t, level) for t, (level, _) in zip(times, reports, strict=True)
        ]
        place.store(
            {f"{name}/lamp_active_power:{channel}": powers, f"{name}/lamp_dimming_level:{channel}": levels}
        )


def states(place, **chosen):
    rows = place.ask(LAMP, place.cities, ALL, chosen.get("devices", ALL), chosen.get("channels", ALL))
    return {row["channel"]: row["state"] for row in rows}


def test_each_state_and_its_counter_example(db):
    """By night: dark is not dimmed, off nor just commanded; one odd report is no fault; cycling is four turns."""
    place = Place(db, 0.0, longitude_where(-60))
    lamps(place, "c1", NIGHT)
    place.store({"c1/lamp_supply_voltage": [(place.now - timedelta(minutes=2), 231.0)]})
    assert states(place) == {channel: state for channel, (state, _) in NIGHT.items()}
    (row,) = place.ask(LAMP, place.cities, ALL, ALL, ["dimmed"])
    assert (row["level"], row["power"], row["voltage"]) == (50, 47.5, 231)
    assert row["rated"] == pytest.approx(90)
    assert row["expected"] == pytest.approx(expected(90, 50))


def test_what_is_not_known_is_not_judged(db):
    """Without supply, level or power, with old or suspect readings, a lamp is unknown; a new one may be dark."""
    place = Place(db, 0.0, longitude_where(-60))
    lamps(place, "fed", {"dark": NIGHT["dark"]})
    lamps(place, "unfed", {"unfed": NIGHT["dark"]})
    place.store({"unfed/lamp_supply_voltage": [(place.now - timedelta(minutes=2), 0.0)]})
    lamps(place, "odd", {"suspect": NIGHT["on"]})
    place.store({"odd/lamp_active_power:suspect": [(place.now, 90.0)]}, quality=3)
    place.device(
        "old",
        [
            "lamp_active_power:silent",
            "lamp_dimming_level:silent",
            "lamp_active_power:unasked",
            "lamp_dimming_level:unasked",
            "lamp_dimming_level:unmetered",
            "lamp_active_power:new",
            "lamp_dimming_level:new",
            "lamp_active_power:plain",
        ],
    )
    recent = steps(place.now, 5)
    place.store({
        "old/lamp_active_power:silent": [(place.now - timedelta(hours=2), 90.0)],
        "old/lamp_dimming_level:silent": [(place.now - timedelta(hours=2), 100.0)],
        "old/lamp_active_power:unasked": [(t, 90.0) for t in recent],
        "old/lamp_dimming_level:unmetered": [(t, 100.0) for t in recent],
        "old/lamp_active_power:new": [(t, 0.3) for t in recent],
        "old/lamp_dimming_level:new": [(t, 100.0) for t in recent],
        "old/lamp_active_power:plain": [(t, 88.0) for t in recent],
    })  # fmt: skip
    assert states(place) == {
        "dark": 4, "unfed": 0, "suspect": 0, "silent": 0, "unasked": 0, "unmetered": 0, "new": 4, "plain": 2,
    }  # fmt: skip


def test_burning_by_day_is_by_the_sun_or_the_photocell(db):
    """A lamp that burns at noon does; one at dusk does not; a bright photocell makes it day, a dark one does not."""
    noon, dusk, night = (Place(db, 0.0, longitude_where(high)) for high in (60, 3, -40))
    lamps(noon, "c", {"burns": NIGHT["on"], "rests": NIGHT["off"], "late": (1, OFF * 5)})
    assert states(noon) == {"burns": 5, "rests": 1, "late": 1}
    lamps(dusk, "c", {"on": NIGHT["on"]})
    assert states(dusk) == {"on": 2}
    lamps(night, "c", {"on": NIGHT["on"]})
    night.device("cell", ["photocell_illuminance"])
    night.store({"cell/photocell_illuminance": [(night.now - QUARTER, 40.0)]})
    assert states(night) == {"on": 2}
    night.store({"cell/photocell_illuminance": [(night.now, 5000.0)]})
    assert states(night) == {"on": 2}, "half an hour of it"
    day = Place(db, 0.0, longitude_where(-40))
    lamps(day, "c", {"on": NIGHT["on"]})
    day.device("cell", ["photocell_illuminance"])
    day.store({"cell/photocell_illuminance": [(t, 5000.0) for t in steps(day.now, 5)]})
    assert states(day) == {"on": 5}
