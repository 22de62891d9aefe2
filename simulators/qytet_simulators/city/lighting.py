"""Street lamps: on by the sun, dimmed by the clock, metered, and now and then out of order.

Lamps burn from the sun's 3rd degree below the horizon: 100 % to 22:00 local time, 70 % to midnight, 50 % to 05:00,
100 % to dawn. P = standby + (rated - standby)(0.05 + 0.95 level); a relay takes the whole driver off by day.
Each lamp keeps one condition for a fortnight: sound, dark (commanded on, draws standby), day-burner (never off) or
cycling (six minutes on, four off). Energy is the exact integral of that power, so that counters never run back.
"""

from functools import cache

import numpy as np

from qytet_simulators.city import grid, sun
from qytet_simulators.city.arrays import Columns, Floats, Millis
from qytet_simulators.city.clock import DAY_MS, DAYS, EPOCH_MS, HOUR_MS, at_local_hour
from qytet_simulators.city.fleet import City
from qytet_simulators.city.group import Group
from qytet_simulators.city.noise import normal, uniform
from qytet_simulators.city.scene import Scene

_STANDBY_W = 0.3
_SWITCH_DEG = -3.0
_LEVELS = np.array([1.0, 0.7, 0.5, 1.0, 0.0])  # of the five parts of a night and the day after it
_FORTNIGHT_MS = 14 * DAY_MS
_SOUND, _DARK, _DAY_BURNER, _CYCLING = range(4)
_CYCLE_MS, _CYCLE_ON_MS = 600_000, 360_000


class Schedule:
    """The dimming profile of every night in a city, with its integrals in hours."""

    def __init__(self, city: City) -> None:
        days = EPOCH_MS // DAY_MS + np.arange(-2, DAYS + 1)
        _, dusk = sun.crossings_ms(days, city.lat, city.lon, _SWITCH_DEG)
        dawn, _ = sun.crossings_ms(days + 1, city.lat, city.lon, _SWITCH_DEG)
        zone = city.time_zone
        clock = [
            at_local_hour(days, 22, zone),
            at_local_hour(days, 24, zone),
            at_local_hour(days + 1, 5, zone),
        ]
        self._starts = np.stack(
            [dusk, *(np.minimum(instant, dawn) for instant in clock), dawn], axis=1
        ).ravel()
        self._level = np.tile(_LEVELS, len(days))
        hours = np.diff(self._starts, append=self._starts[-1]) / HOUR_MS
        self._lit = self._integral(hours * (self._level > 0))
        self._dimmed = self._integral(hours * np.where(self._level > 0, 0.05 + 0.95 * self._level, 0))

    @staticmethod
    def _integral(parts: Floats) -> Floats:
        return np.concatenate([[0.0], np.cumsum(parts)[:-1]])

    def level(self, t_ms: Millis) -> Floats:
        """The commanded level, 0 to 1."""
        return self._level[np.searchsorted(self._starts, t_ms, side="right") - 1]

    def lit_hours(self, t_ms: Millis) -> Floats:
        """Hours commanded on until an instant."""
        return np.interp(t_ms, self._starts, self._lit)

    def dimmed_hours(self, t_ms: Millis) -> Floats:
        """Hours until an instant, each weighed by 0.05 + 0.95 level."""
        return np.interp(t_ms, self._starts, self._dimmed)


@cache
def _schedule(slug: str, lat: float, lon: float, zone: str) -> Schedule:
    return Schedule(City(slug, slug, slug, zone, lat, lon, 0, {}))


def schedule_of(city: City) -> Schedule:
    """The schedule of a city, made once."""
    return _schedule(city.slug, city.lat, city.lon, city.time_zone)


def lamp_controller(group: Group, scene: Scene) -> Columns:
    """Supply voltage, and for each lamp its level, power, current, power factor and energy."""
    volts = grid.voltage(group, scene, 1)
    columns: Columns = {"lamp_supply_voltage": volts}
    for number in range(1, group.channels + 1):
        columns |= _lamp(group, scene, number, volts)
    return columns


def _lamp(group: Group, scene: Scene, number: int, volts: Floats) -> Columns:
    t = scene.t_ms
    level = schedule_of(group.city).level(t)
    condition = _condition(group, number, t // _FORTNIGHT_MS)
    watts = _power(group, number, level, condition, t) * (
        1 + 0.004 * normal(group.channel_key("meter", number), t)
    )
    factor = np.where(watts > 5, 0.97 - 0.25 * (1 - np.where(level > 0, level, 1.0)) ** 1.5, 0.45)
    factor = np.where(watts > 0, factor + 0.003 * normal(group.channel_key("factor", number), t), 1.0)
    return {
        f"lamp_active_power:lamp{number}": watts,
        f"lamp_dimming_level:lamp{number}": level * 100,
        f"lamp_supply_current:lamp{number}": watts / (volts * factor),
        f"lamp_power_factor:lamp{number}": factor,
        f"lamp_energy_total:lamp{number}": _energy_kwh(group, number, t),
    }


def _condition(group: Group, number: int, fortnight: Millis) -> Millis:
    """The condition of one lamp of each device in a fortnight counted from 1970."""
    chance = uniform(group.channel_key("condition", number), fortnight)
    bounds = [chance < 0.015, chance < 0.025, chance < 0.035]
    return np.select(bounds, [_DARK, _DAY_BURNER, _CYCLING], _SOUND)


def _power(group: Group, number: int, level: Floats, condition: Millis, t_ms: Millis) -> Floats:
    """Watts that a lamp draws, before its meter's noise."""
    rated = group.trait("rated_power", 90.0)
    burning = np.where((condition == _DAY_BURNER) & (level == 0), 1.0, level)
    watts = np.where(burning > 0, _STANDBY_W + (rated - _STANDBY_W) * (0.05 + 0.95 * burning), 0.0)
    resting = (t_ms + 60_000 * number) % _CYCLE_MS >= _CYCLE_ON_MS
    watts = np.where((condition == _CYCLING) & resting, 0.0, watts)
    return np.where((condition == _DARK) & (level > 0), _STANDBY_W, watts)


def _energy_kwh(group: Group, number: int, t_ms: Millis) -> Floats:
    """The counter: the energy of all fortnights before, and of this one so far."""
    table = group.memo(f"energy:{number}", lambda whole: _energy_table(whole, number))
    first = EPOCH_MS // _FORTNIGHT_MS
    fortnight = t_ms // _FORTNIGHT_MS
    start = np.maximum(fortnight * _FORTNIGHT_MS, EPOCH_MS)
    condition = _condition(group, number, fortnight)
    return table[group.rows, fortnight - first] + _span_kwh(group, condition, start, t_ms)


def _energy_table(group: Group, number: int) -> Floats:
    """Counter of each device's lamp at the start of every fortnight."""
    first, last = EPOCH_MS // _FORTNIGHT_MS, (EPOCH_MS + DAYS * DAY_MS) // _FORTNIGHT_MS
    fortnights = np.arange(first, last + 1)[None, :]
    starts = np.maximum(fortnights * _FORTNIGHT_MS, EPOCH_MS)
    used = _span_kwh(group, _condition(group, number, fortnights), starts, (fortnights + 1) * _FORTNIGHT_MS)
    at_epoch = 150 + 2500 * uniform(group.channel_key("counter", number), np.zeros_like(group.interval_ms))
    return np.concatenate([at_epoch, at_epoch + np.cumsum(used, axis=1)], axis=1)


def _span_kwh(group: Group, condition: Millis, start_ms: Millis, end_ms: Millis) -> Floats:
    """Energy between two instants under one condition."""
    plan = schedule_of(group.city)
    lit = plan.lit_hours(end_ms) - plan.lit_hours(start_ms)
    dimmed = plan.dimmed_hours(end_ms) - plan.dimmed_hours(start_ms)
    dark_hours = (end_ms - start_ms) / HOUR_MS - lit  # of daylight, which only a day-burner pays for
    burner = condition == _DAY_BURNER
    lit = lit + np.where(burner, dark_hours, 0)
    dimmed = np.where(condition == _DARK, 0, dimmed + np.where(burner, dark_hours, 0))
    rated = group.trait("rated_power", 90.0)
    watt_hours = _STANDBY_W * lit + (rated - _STANDBY_W) * dimmed
    return watt_hours / 1000 * np.where(condition == _CYCLING, _CYCLE_ON_MS / _CYCLE_MS, 1.0)


def lighting_cabinet(group: Group, scene: Scene) -> Columns:
    """Power of all lamps behind the cabinet, voltage and current of its phases, and the photocell on its roof."""
    t = scene.t_ms
    level = schedule_of(group.city).level(t)
    each = group.trait("rated_power", 90.0) * np.where(level > 0, 0.05 + 0.95 * level, 0.0)
    watts = (25 + group.trait("lamps", 40.0) * each * 1.03) * (1 + 0.003 * normal(group.key("meter"), t))
    columns: Columns = {
        "cabinet_active_power": watts / 1000,
        "photocell_illuminance": _illuminance(scene) * np.exp(0.03 * normal(group.key("photocell"), t)),
        "grid_frequency": grid.frequency(group, scene),
    }
    for phase in (1, 2, 3):
        volts = grid.voltage(group, scene, phase)
        share = (0.345, 0.33, 0.325)[phase - 1]
        columns[f"grid_phase_voltage:l{phase}"] = volts
        columns[f"grid_current:l{phase}"] = watts * share / (volts * 0.95)
    return columns


def _illuminance(scene: Scene) -> Floats:
    """Lux on a horizontal roof: 108 lm/W of daylight, twilight that fades tenfold every 2.6 degrees."""
    twilight = 400 * 10 ** (np.minimum(scene.sun_deg, 0.0) / 2.6) * (1 - 0.5 * scene.weather.cloud)
    return np.minimum(108 * scene.weather.irradiance + twilight, 106_000)
