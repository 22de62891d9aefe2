"""What there is to measure: a truth for every property of the catalogue, as functions of the time of day."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qytet_simulators.hardware.ports import Clock

__all__ = ["Curve", "Truth", "World", "daylight", "wave"]

Curve = Callable[[float], float]
"""Unix seconds to a value in the unit of the catalogue."""
Truth = Callable[[], Mapping[str, float]]
"""What there is to measure now, by property."""
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class _Day:
    """A mean, how far it swings in a day, the hour (UTC) of the top, and a smaller wave within the hour.

    `spread`: how far apart channels are; of 0 they are one.
    """

    mean: float
    swing: float = 0.0
    top_h: float = 14.0
    wave: float = 0.0
    spread: float = 0.06


_DAYS = {
    "pm2_5": _Day(18, 8, 20, 1.5),
    "co2": _Day(455, 35, 6, 8),
    "air_temperature": _Day(17, 6, 14, 0.3),
    "relative_humidity": _Day(58, 16, 4, 1.5),
    "air_pressure": _Day(1002, 2, 9, 0.2),
    "gas_resistance": _Day(95_000, 30_000, 13, 3_000),
    "electrode_voltage_we": _Day(260, 25, 14, 4),
    "electrode_voltage_ae": _Day(230, 12, 14, 2),
    "lamp_supply_voltage": _Day(231, 4, 3, 0.8),
    "lamp_power_factor": _Day(0.94, 0.02, 3),
    "grid_phase_voltage": _Day(232, 4, 3, 0.8, 0.02),
    "grid_current": _Day(14, 8, 19, 1.0),
    "grid_power_factor": _Day(0.92, 0.03, 3, 0, 0.04),
    "grid_frequency": _Day(50, 0.01, 3, 0.02, 0),
    "water_flow_rate": _Day(2.2, 1.5, 8, 0.2),
    "water_pressure": _Day(4.2, 0.5, 2, 0.05),
    "water_tank_level": _Day(3.1, 0.8, 5, 0.02),
    "water_temperature": _Day(12.5, 1.5, 16, 0.1),
    "distance": _Day(1.6, 0.3, 9, 0.02),
    "sewer_level": _Day(0.45, 0.2, 9, 0.03),
    "waste_fill_level": _Day(55, 30, 18),
    "container_temperature": _Day(19, 9, 14, 0.5),
    "wind_speed": _Day(4.0, 2.0, 15, 0.8),
    "rainfall_rate": _Day(9, 3, 15),
    "magnetic_flux_density:x": _Day(22.5, 0.5),
    "magnetic_flux_density:y": _Day(4.1, 0.4),
    "magnetic_flux_density:z": _Day(39.8, 0.6),
    "peak_particle_velocity": _Day(1.4, 0.5, 10),
    "ppv_dominant_frequency": _Day(12),
    "inclination:x": _Day(0.42, 0.05),
    "inclination:y": _Day(-0.77, 0.05),
    "vehicle_flow_rate": _Day(520, 380, 16, 40),
    "vehicle_speed_mean": _Day(48, 6, 2),
    "motion_rate": _Day(80, 30, 19),
}
"""`rainfall_rate` in mm/h, `motion_rate` in motions an hour; frequencies do not change, as a phase would jump."""
_SHARES = {
    "pm1": ("pm2_5", 0.62),
    "pm4": ("pm2_5", 1.28),
    "pm10": ("pm2_5", 1.55),
    "particle_number_concentration_pm0_5": ("pm2_5", 6.4),
}
"""Dust is one thing: its fractions go together, and PM1 <= PM2.5 <= PM4 <= PM10."""
_LIGHTS = ("ambient_illuminance", "photocell_illuminance")


class World:
    """Truths by key (`property` or `property:channel`): the same seed makes the same world.

    Channels of a property differ by a few percent; a frequency is the same everywhere. `script` puts a curve of the
    caller's in a key's place.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._clock: Clock | None = None
        self._curves: dict[str, Curve] = {}

    def plugged(self, clock: Clock) -> None:
        """Time comes from here."""
        self._clock = clock

    @property
    def clock(self) -> Clock:
        """The bench's time. Raises RuntimeError before there was power for the first time."""
        if self._clock is None:
            raise RuntimeError("a world without power has no time")
        return self._clock

    def unix_ms(self) -> int:
        """The true time."""
        return self.clock.unix_ms()

    def script(self, key: str, curve: Curve) -> None:
        """From now on this is the truth of a key."""
        self._curves[key] = curve

    def know(self, key: str) -> None:
        """See that a key has a truth. Raises KeyError for a property that nobody described."""
        if key not in self._curves:
            self._curves[key] = self._made(key)

    def value(self, key: str, unix_ms: float | None = None) -> float:
        """The truth of a key, now or at a time. Raises KeyError for a property that nobody described."""
        self.know(key)
        return self._curves[key]((self.unix_ms() if unix_ms is None else unix_ms) / 1000)

    def curve(self, key: str) -> Curve:
        """The truth of a key at any time, to put in another's place. Raises KeyError."""
        self.know(key)
        return self._curves[key]

    def now(self, **names: str) -> Truth:
        """A truth of these keys: `now(co2="co2:indoor")` is asked under the name `co2`. Raises KeyError."""
        for key in names.values():
            self.know(key)
        return lambda: {name: self.value(key) for name, key in names.items()}

    def between(self, key: str, from_ms: int, to_ms: int) -> tuple[float, float]:
        """The lowest and the highest truth of a key in a time."""
        found = [self.value(key, from_ms + (to_ms - from_ms) * step / 50) for step in range(51)]
        return min(found), max(found)

    def draw(self, key: str) -> random.Random:
        """Luck of its own for whatever happens by chance."""
        return random.Random(f"{self.seed} {key}")

    def _made(self, key: str) -> Curve:
        name, _, channel = key.partition(":")
        if name in _SHARES:
            other, share = _SHARES[name]
            other += f":{channel}" if channel else ""
            return lambda at: share * self.value(other, at * 1000)
        if name in _LIGHTS:
            return daylight()
        axis = key.partition("-")[0]  # perhaps of one of several sensors
        day = _DAYS[axis] if axis in _DAYS else _DAYS[name]
        apart = channel and axis not in _DAYS
        draw = self.draw(key if day.spread else name)
        return wave(day.mean, day.swing, day.top_h, day.wave, draw, day.spread if apart else 0.0)


def wave(mean: float, swing: float, top_h: float, small: float, draw: random.Random, spread: float) -> Curve:
    """A day's wave and a smaller one of 11 to 19 minutes; `spread` is how far the whole may be stretched."""
    stretch = 1 + spread * draw.uniform(-1, 1)
    small_s, phase = draw.uniform(660, 1140), draw.uniform(0, 2 * math.pi)

    def curve(at: float) -> float:
        day = math.cos(2 * math.pi * (at / _DAY_S - top_h / 24))
        return stretch * (mean + swing * day + small * math.sin(2 * math.pi * at / small_s + phase))

    return curve


def daylight(noon_lx: float = 48_000.0, night_lx: float = 0.4, noon_h: float = 10.7) -> Curve:
    """Illuminance of a day with equal hours of light and dark; `noon_h` is UTC (Tirana: 19.8 degrees east)."""

    def curve(at: float) -> float:
        height = math.cos(2 * math.pi * (at / _DAY_S - noon_h / 24))
        return night_lx + noon_lx * math.pow(max(height, 0.0), 1.5)

    return curve
