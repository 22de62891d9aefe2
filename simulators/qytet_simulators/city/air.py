"""Air pollutants at a street: traffic and stoves emit, wind and mixing depth dilute, ozone is eaten by NO.

A box model in the shape of street-canyon screening formulas: concentration = background + emission / ventilation,
with emissions of the last quarter of an hour, so that PM and NO2 lag the traffic a little.
"""

import numpy as np

from qytet_simulators.city import habits
from qytet_simulators.city.arrays import Columns, Floats
from qytet_simulators.city.clock import HOUR_MS, local_time
from qytet_simulators.city.group import Group
from qytet_simulators.city.noise import normal, smooth
from qytet_simulators.city.scene import Scene
from qytet_simulators.city.station import local_air
from qytet_simulators.city.weather import Weather

_LAG_MS = 15 * 60_000


def air_station(group: Group, scene: Scene) -> Columns:
    """PM, NO2, O3 and CO with temperature, humidity and pressure."""
    weather, t = scene.weather, scene.t_ms
    earlier = local_time(t - _LAG_MS, group.city.time_zone)
    stagnation = _stagnation(weather)
    street = group.site_traffic * habits.traffic(earlier) * stagnation
    street *= np.exp(0.15 * smooth(group.key("street"), t, HOUR_MS // 2))
    smoke = _smoke(group, scene, habits.stoves(earlier)) * stagnation
    return {
        **_particles(group, scene, street, smoke),
        **_gases(group, scene, street, smoke),
        **local_air(group, scene),
    }


def _stagnation(weather: Weather) -> Floats:
    """How much the same emission weighs: 1 on a breezy day, 5 under a winter night's inversion."""
    ventilation = (weather.wind + 0.6) * weather.mixing_m
    return np.clip((2200 / ventilation) ** 0.65, 0.35, 5.0)


def _smoke(group: Group, scene: Scene, stoves: Floats) -> Floats:
    """Wood smoke emission: grows as the air falls below 14 Cel."""
    cold = np.clip((14 - scene.weather.temperature) / 14, 0, 1.3)
    quarter = 1.15 - 0.35 * group.site_traffic
    return group.city.climate["smoke"] * stoves * cold * quarter


def _particles(group: Group, scene: Scene, street: Floats, smoke: Floats) -> Columns:
    """PM1 <= PM2.5 <= PM10, built from the finest up, washed out by rain."""
    weather, t = scene.weather, scene.t_ms
    climate = group.city.climate
    washed = 1 / (1 + 0.35 * weather.rain)
    regional = climate["background_pm"] * np.exp(
        0.35 * smooth(group.key("regional", stem=True), t, 30 * HOUR_MS)
    )
    fine = (
        (0.6 * regional + 6.0 * street + 42 * smoke) * washed * np.exp(0.06 * normal(group.key("laser"), t))
    )
    accumulation = (0.35 * regional + 2.2 * street + 7 * smoke) * washed
    dust = (4 + 7.5 * street + 0.9 * np.maximum(weather.wind - 3, 0)) * climate["coarse"] * washed
    coarse = dust * np.exp(0.10 * normal(group.key("coarse"), t))
    return {"pm1": fine, "pm2_5": fine + accumulation, "pm10": fine + accumulation + coarse}


def _gases(group: Group, scene: Scene, street: Floats, smoke: Floats) -> Columns:
    """NO2 by traffic, O3 by sunshine less what fresh NO takes, CO by both fires."""
    weather, t = scene.weather, scene.t_ms
    no2 = 6 + 24 * street + 7 * smoke
    sunshine = weather.irradiance / 900
    regional_o3 = 52 + 16 * weather.season + 8 * smooth(group.key("ozone", stem=True), t, 40 * HOUR_MS)
    o3 = (regional_o3 + 42 * sunshine * (1 + 0.4 * weather.season)) * np.exp(-0.022 * no2)
    return {
        "no2": no2 + 1.0 * normal(group.key("no2 cell"), t),
        "o3": o3 + 1.5 * normal(group.key("ox cell"), t),
        "co": 0.18 + 0.32 * street + 0.55 * smoke + 0.02 * normal(group.key("co cell"), t),
    }
