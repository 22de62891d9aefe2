"""Where the sun stands and when it sets, after NOAA's low-accuracy formulas (within about 0.3 degrees)."""

import numpy as np

from qytet_simulators.city.arrays import Floats, Millis
from qytet_simulators.city.clock import DAY_MS, HOUR_MS

_YEAR_DAYS = 365.2425
_EPOCH_2000_DAYS = 10_957  # 2000-01-01 in days since 1970


def year_angle(t_ms: Millis) -> Floats:
    """Angle of the year in radians, 0 at the start of January."""
    return (t_ms / DAY_MS - _EPOCH_2000_DAYS) * (2 * np.pi / _YEAR_DAYS)


def declination(g: Floats) -> Floats:
    """Solar declination in radians for an angle of the year (Spencer 1971, two harmonics)."""
    s, c = np.sin(g), np.cos(g)
    return 0.006918 - 0.399912 * c + 0.070257 * s - 0.006758 * (2 * c * c - 1) + 0.000907 * (2 * s * c)


def equation_of_time_h(g: Floats) -> Floats:
    """Apparent minus mean solar time in hours."""
    s, c = np.sin(g), np.cos(g)
    double = 2 * c * c - 1
    minutes = 229.18 * (0.000075 + 0.001868 * c - 0.032077 * s - 0.014615 * double - 0.040849 * (2 * s * c))
    return minutes / 60


def elevation_deg(t_ms: Millis, lat: float, lon: float) -> Floats:
    """Elevation of the sun's centre in degrees, without refraction."""
    g = year_angle(t_ms)
    delta = declination(g)
    solar_hour = (t_ms % DAY_MS) / HOUR_MS + lon / 15 + equation_of_time_h(g)
    phi = np.radians(lat)
    sine = np.sin(phi) * np.sin(delta) + np.cos(phi) * np.cos(delta) * np.cos(
        (solar_hour - 12) * (np.pi / 12)
    )
    elevation: Floats = np.degrees(np.arcsin(np.clip(sine, -1, 1)))
    return elevation


def crossings_ms(day: Millis, lat: float, lon: float, elevation: float) -> tuple[Millis, Millis]:
    """When the sun rises above and sinks below an elevation (degrees) on each UTC day, counted from 1970."""
    g = year_angle(day * DAY_MS + DAY_MS // 2)
    delta = declination(g)
    phi = np.radians(lat)
    cosine = (np.sin(np.radians(elevation)) - np.sin(phi) * np.sin(delta)) / (np.cos(phi) * np.cos(delta))
    half_day_h = np.arccos(np.clip(cosine, -1, 1)) * (12 / np.pi)
    noon_h = 12 - lon / 15 - equation_of_time_h(g)
    start = day * DAY_MS
    up = start + np.rint((noon_h - half_day_h) * HOUR_MS).astype(np.int64)
    down = start + np.rint((noon_h + half_day_h) * HOUR_MS).astype(np.int64)
    return up, down
