"""What all sensors of a city share at an instant: civil time, sun, weather and how busy the streets are.

A ``Scene`` computes each part once, when a model first asks for it, for an array of instants of any shape.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from qytet_simulators.city import habits, sun
from qytet_simulators.city.arrays import Floats, Keys, Millis
from qytet_simulators.city.clock import LocalTime, local_time
from qytet_simulators.city.fleet import City, Device
from qytet_simulators.city.noise import key_of
from qytet_simulators.city.weather import Weather, weather_at

_T = TypeVar("_T")


class Scene:
    """The state of one city at many instants."""

    def __init__(self, city: City, seed: int, t_ms: Millis) -> None:
        self.city = city
        self.seed = seed
        self.t_ms = t_ms

    @cached_property
    def local(self) -> LocalTime:
        """Civil time."""
        return local_time(self.t_ms, self.city.time_zone)

    @cached_property
    def sun_deg(self) -> Floats:
        """Elevation of the sun in degrees."""
        return sun.elevation_deg(self.t_ms, self.city.lat, self.city.lon)

    @cached_property
    def weather(self) -> Weather:
        """The weather over the city."""
        return weather_at(self.city, self.seed, self.t_ms, self.local, self.sun_deg)

    @cached_property
    def street_activity(self) -> Floats:
        """Traffic demand as a share of a working day's peak."""
        return habits.traffic(self.local)


class Group:
    """Devices of one city with the same profile and channels; its columns have one row a device."""

    def __init__(self, city: City, devices: tuple[Device, ...], seed: int) -> None:
        self.city = city
        self.devices = devices
        self.seed = seed
        self.profile = devices[0].profile
        self.channels = devices[0].channels
        self.site_traffic = np.array([[device.site.traffic] for device in devices])
        self.height_m = np.array([[device.site.height_m] for device in devices])
        self.interval_ms = np.array([[device.interval_ms] for device in devices], dtype=np.int64)
        self._memos: dict[str, Any] = {}
        self._keys: dict[tuple[str, bool], Keys] = {}
        self._traits: dict[tuple[str, float], Floats] = {}

    def memo(self, name: str, make: Callable[[], _T]) -> _T:
        """What ``make`` gives, made once for each name."""
        if name not in self._memos:
            self._memos[name] = make()
        kept: _T = self._memos[name]
        return kept

    def key(self, name: str, *, stem: bool = False) -> Keys:
        """Keys of a named noise, one row a device; with ``stem`` copies of a device share it."""
        if (name, stem) not in self._keys:
            names = [device.stem if stem else device.name for device in self.devices]
            self._keys[name, stem] = np.array([[key_of(self.seed, owner, name)] for owner in names])
        return self._keys[name, stem]

    def channel_key(self, name: str, number: int) -> Keys:
        """Keys of a named noise of one channel."""
        return self.key(f"{name}:{number}")

    def trait(self, name: str, default: float) -> Floats:
        """A number from the fleet's file, one row a device."""
        if (name, default) not in self._traits:
            self._traits[name, default] = np.array(
                [[device.traits.get(name, default)] for device in self.devices]
            )
        return self._traits[name, default]
