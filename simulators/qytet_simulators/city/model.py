"""What every device of a fleet reads at any instant: the same seed, fleet and instant always give the same bytes.

Nothing is drawn from a stream, so it makes no difference which devices are asked for, in what order or in what pieces.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qytet_simulators.city import air, lighting, station, traffic, water
from qytet_simulators.city.arrays import Columns, Floats, Millis
from qytet_simulators.city.clock import check_range
from qytet_simulators.city.fleet import Device, Fleet
from qytet_simulators.city.group import Group
from qytet_simulators.city.health import health
from qytet_simulators.city.noise import bits
from qytet_simulators.city.profiles import GRAIN
from qytet_simulators.city.scene import Scene
from qytet_simulators.city.waterworks import Leak

Value: TypeAlias = int | float | None
_MODELS: dict[str, Callable[[Group, Scene], Columns]] = {
    "air_station": air.air_station,
    "weather_station": station.weather_station,
    "lamp_controller": lighting.lamp_controller,
    "lighting_cabinet": lighting.lighting_cabinet,
    "water_tank": water.water_tank,
    "water_quality": water.water_quality,
    "traffic_counter": traffic.traffic_counter,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one device read at one instant; a value is None where nothing could be measured."""

    device: str
    t_ms: int
    values: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Series:
    """One device's readings in a stretch of time: ``t_ms`` and each column have the same length; NaN is no value."""

    device: str
    t_ms: Millis
    columns: Columns


class CityModel:
    """The models of a whole fleet."""

    def __init__(self, fleet: Fleet, seed: int = 1, leaks: Iterable[Leak] = ()) -> None:
        self.fleet = fleet
        self.seed = seed
        models = _MODELS | {"water_dma": partial(water.water_dma, leaks=tuple(leaks))}
        self._models = models
        self._groups = _groups(fleet, seed)
        self._order = {device.name: rank for rank, device in enumerate(fleet.devices)}

    def sample(self, t_ms: int) -> dict[str, dict[str, Value]]:
        """What every device would read at one instant, whatever its reporting interval.

        Raises:
            ValueError: the instant lies outside 2024 to 2039.
        """
        found: dict[str, dict[str, Value]] = {}
        for group in self._groups:
            instants = np.full((len(group.devices), 1), t_ms, dtype=np.int64)
            lists = {key: column[:, 0].tolist() for key, column in self._evaluate(group, instants).items()}
            for row, device in enumerate(group.devices):
                found[device.name] = {key: _plain(values[row]) for key, values in lists.items()}
        return {device.name: found[device.name] for device in self.fleet.devices}

    def block(self, t0_ms: int, t1_ms: int) -> list[Series]:
        """Each device's readings at its own reporting instants, t0 <= t < t1, as arrays.

        Raises:
            ValueError: an instant lies outside 2024 to 2039.
        """
        series = [one for group in self._groups for one in self._series(group, t0_ms, t1_ms)]
        return sorted(series, key=lambda one: self._order[one.device])

    def readings(self, t0_ms: int, t1_ms: int, window_ms: int = 60_000) -> Iterator[Reading]:
        """The same in order of time, computed window by window."""
        for start in range(t0_ms, t1_ms, window_ms):
            found = [
                reading
                for one in self.block(start, min(start + window_ms, t1_ms))
                for reading in _readings(one)
            ]
            found.sort(key=lambda reading: reading.t_ms)
            yield from found

    def _series(self, group: Group, t0_ms: int, t1_ms: int) -> Iterator[Series]:
        interval = int(group.interval_ms[0, 0])
        phase = group.memo("phase", _phase)
        first = -((phase - t0_ms) // interval)
        steps = -(-(t1_ms - t0_ms) // interval)
        if steps <= 0:
            return
        instants = phase + (first + np.arange(steps)) * interval
        counts = (instants < t1_ms).sum(axis=1)
        if not counts.all():  # a window shorter than the interval: most devices have nothing to say
            due = np.flatnonzero(counts)
            if not due.size:
                return
            group, instants, counts = group.part(due), instants[due], counts[due]
        columns = self._evaluate(group, instants)
        for row, device in enumerate(group.devices):
            part = slice(0, int(counts[row]))
            yield Series(
                device.name, instants[row, part], {key: column[row, part] for key, column in columns.items()}
            )

    def _evaluate(self, group: Group, t_ms: Millis) -> Columns:
        """The group's columns at instants of shape (devices, times), in the datastreams' order and grain."""
        check_range(t_ms)
        scene = Scene(group.city, self.seed, t_ms)
        measured = self._models[group.profile.name](group, scene) | health(group, scene)
        return {key: _grained(key, measured[key]) for key in group.devices[0].datastreams}


def _groups(fleet: Fleet, seed: int) -> list[Group]:
    cities = {city.slug: city for city in fleet.cities}

    def alike(device: Device) -> tuple[str, str, int, int]:
        return device.city, device.profile.name, device.channels, device.interval_ms

    ordered = sorted(fleet.devices, key=alike)
    return [Group(cities[key[0]], tuple(devices), seed) for key, devices in groupby(ordered, key=alike)]


def _phase(group: Group) -> Millis:
    """Where in its interval each device reports, to a tenth of a second, so that not all speak at once."""
    slots = np.maximum(group.interval_ms // 100, 1).astype(np.uint64)
    phase: Millis = (bits(group.key("phase"), np.zeros_like(group.interval_ms)) % slots).astype(
        np.int64
    ) * 100
    return phase


def _grained(key: str, column: NDArray[Any]) -> NDArray[Any]:
    grain = GRAIN[key.partition(":")[0]]
    if grain == 1:
        whole: NDArray[np.int64] = np.rint(column).astype(np.int64)
        return whole
    inverse = round(1 / grain)
    grained: Floats = np.rint(column * inverse) / inverse + 0.0  # adding zero turns -0.0 into 0.0
    return grained


def _readings(one: Series) -> Iterator[Reading]:
    keys = tuple(one.columns)
    rows: Sequence[tuple[float, ...]] = list(
        zip(*(column.tolist() for column in one.columns.values()), strict=True)
    )
    for t_ms, row in zip(one.t_ms.tolist(), rows, strict=True):
        yield Reading(one.device, t_ms, {key: _plain(value) for key, value in zip(keys, row, strict=True)})


def _plain(value: float) -> Value:
    return None if value != value else value
