"""The weather over a city: temperature, humidity, wind, cloud, rain, pressure and how deep the air mixes.

Climatology after the Albanian lowland and the Korce plateau; formulas: Magnus (WMO-No. 8) for humidity, the
hypsometric equation for station pressure, Haurwitz (1945) for clear-sky irradiance,
Kasten and Czeplak (1980) for cloud.
"""

from dataclasses import dataclass

import numpy as np

from qytet_simulators.city.arrays import Floats, Millis
from qytet_simulators.city.clock import HOUR_MS, LocalTime
from qytet_simulators.city.fleet import City
from qytet_simulators.city.noise import key_of, smooth
from qytet_simulators.city.sun import year_angle

_COLDEST = 0.30  # rad after new year: about 18 January


@dataclass(frozen=True, slots=True)
class Weather:
    """Elementwise; temperatures Cel, wind m/s, cloud 0..1, rain mm/h, sea-level pressure hPa, mixing depth m."""

    temperature: Floats
    warmth: Floats  # the temperature without the wave of the day
    dew_point: Floats
    wind: Floats
    wind_from: Floats
    cloud: Floats
    rain: Floats
    sea_level_hpa: Floats
    irradiance: Floats
    mixing_m: Floats
    season: Floats  # -1 mid-winter .. 1 mid-summer


def weather_at(city: City, seed: int, t_ms: Millis, local: LocalTime, sun_deg: Floats) -> Weather:
    """The weather of a city at each instant."""
    climate = city.climate

    def wander(name: str, hours: float) -> Floats:
        return smooth(key_of(seed, city.slug, name), t_ms, round(hours * HOUR_MS))

    season = -np.cos(year_angle(t_ms) - _COLDEST)
    cloud = 1 / (1 + np.exp(-1.8 * (wander("cloud", 17) * 0.9 + wander("front", 60) - 0.15 - 0.6 * season)))
    day_wave = np.cos((local.hour - 15.0) * (np.pi / 12))
    warmth = (
        climate["temperature_mean"] + climate["temperature_season"] * season + 2.6 * wander("air mass", 70)
    )
    temperature = (
        warmth + climate["temperature_day"] * (1 - 0.65 * cloud) * day_wave + 0.25 * wander("eddy", 0.5)
    )
    sine = np.sin(np.radians(np.maximum(sun_deg, 0.0)))
    clear = 1098 * sine * np.exp(-0.057 / np.maximum(sine, 0.02))
    irradiance = clear * (1 - 0.75 * cloud**3.4)
    breeze = climate["sea_breeze"] * 2.0 * np.maximum(sine - 0.25, 0) * (1 - 0.6 * cloud)
    wind = climate["wind_mean"] * np.exp(0.55 * wander("wind", 9) - 0.15 - 0.25 * (sun_deg < 0)) + breeze
    rain = np.maximum(cloud - 0.72, 0) * 5 * climate["rain"] * np.maximum(wander("shower", 1.5) + 0.3, 0)
    depth = 180 + 1100 * sine * (1 - 0.5 * cloud) + 130 * wind
    return Weather(
        temperature=temperature,
        warmth=warmth,
        dew_point=np.minimum(
            warmth - 7.0 - 3.0 * season + 5.0 * cloud + 1.2 * wander("moisture", 30), temperature - 0.2
        ),
        wind=wind,
        wind_from=(150 + 60 * wander("veer", 13) + 140 * (breeze > 0.3)) % 360,
        cloud=cloud,
        rain=rain,
        sea_level_hpa=1015.5 - 1.5 * season + 6.0 * wander("pressure", 55) - 4 * (cloud - 0.5),
        irradiance=irradiance,
        mixing_m=depth,
        season=season,
    )


def humidity(temperature: Floats, dew_point: Floats) -> Floats:
    """Relative humidity in percent (Magnus)."""
    return 100 * np.exp(
        17.62 * dew_point / (243.12 + dew_point) - 17.62 * temperature / (243.12 + temperature)
    )


def station_pressure(sea_level_hpa: Floats, temperature: Floats, height_m: Floats) -> Floats:
    """Pressure at a station's height in hPa."""
    return sea_level_hpa * np.exp(
        -9.80665 * height_m / (287.05 * (273.15 + temperature + 0.00325 * height_m))
    )
