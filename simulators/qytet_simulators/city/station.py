"""What weather instruments read at their own site: local warmth, height, and each instrument's noise and grain."""

import numpy as np

from qytet_simulators.city.arrays import Columns
from qytet_simulators.city.clock import HOUR_MS
from qytet_simulators.city.group import Group
from qytet_simulators.city.noise import normal, smooth, uniform
from qytet_simulators.city.scene import Scene
from qytet_simulators.city.weather import humidity, station_pressure


def local_air(group: Group, scene: Scene) -> Columns:
    """Temperature, humidity and pressure as a device of the group feels them at its site."""
    weather, t = scene.weather, scene.t_ms
    warmer = 0.9 * group.site_traffic - 0.0065 * (group.height_m - group.city.height_m)
    temperature = weather.temperature + warmer + 0.25 * smooth(group.key("shade"), t, 2 * HOUR_MS)
    felt = temperature + 0.04 * normal(group.key("thermistor"), t)
    damp = humidity(felt, np.minimum(weather.dew_point, felt)) + 0.3 * normal(group.key("hygrometer"), t)
    pressure = station_pressure(weather.sea_level_hpa, weather.warmth, group.height_m)
    return {
        "air_temperature": felt,
        "relative_humidity": np.clip(damp, 4, 100),
        "air_pressure": pressure + 0.04 * normal(group.key("barometer"), t),
    }


def weather_station(group: Group, scene: Scene) -> Columns:
    """Everything that a weather station reports."""
    weather, t = scene.weather, scene.t_ms
    air = local_air(group, scene)
    mean = np.maximum(weather.wind * np.exp(0.12 * normal(group.key("anemometer"), t)), 0)
    bearing = np.rint(weather.wind_from + 9 * normal(group.key("vane"), t)) % 360
    tips = weather.rain * group.interval_ms / HOUR_MS / 0.1 + uniform(group.key("bucket"), t)
    night_offset = 1.2 * normal(group.key("pyranometer"), t)
    dew_point = np.minimum(weather.dew_point, air["air_temperature"])
    return {
        **air,
        "dew_point_temperature": dew_point,
        "wind_speed": mean,
        "wind_speed_of_gust": mean * (1.25 + 0.5 * uniform(group.key("gust"), t)) + 0.1,
        "wind_from_direction": np.where(bearing == 0, 360.0, bearing),
        "solar_irradiance": weather.irradiance + night_offset,
        "precipitation_amount": np.floor(tips) * 0.1,
    }
