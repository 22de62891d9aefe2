"""Vehicles of a lane, one after the other, by chance and by the hour of the day; and an inductive loop under them."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from qytet_simulators.hardware.ports import Clock, PinLine

__all__ = ["Lane", "LoopDetector", "Vehicle"]

_KEPT = 20_000
_NEAREST_S = 1.6
"""From front to front of two vehicles, at least."""
_LOOK_US = 1_000_000
"""How often an empty road is looked at."""
_FIELD_M = 2.0
"""Length of a detector's field."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    """When it came into the field (virtual us), how fast it goes, and how long it was in it."""

    at_us: int
    speed_kmh: float
    occupied_us: int


class Lane:
    """`flow()` is vehicles an hour and `speed()` km/h, now. `vehicles` are those that have come, the last of them."""

    def __init__(self, flow: Callable[[], float], speed: Callable[[], float], luck: random.Random) -> None:
        self._flow, self._speed, self._luck = flow, speed, luck
        self.vehicles: deque[Vehicle] = deque(maxlen=_KEPT)
        self.came = 0
        """How many in all."""
        self._listeners: list[Callable[[Vehicle], None]] = []
        self._clock: Clock | None = None

    def listen(self, listener: Callable[[Vehicle], None]) -> None:
        """Hear of every vehicle when it comes."""
        self._listeners.append(listener)

    def plugged(self, clock: Clock) -> None:
        """Traffic does not wait for the board: it begins once."""
        if self._clock is None:
            self._clock = clock
            self._next(0)

    def _next(self, least_us: int) -> None:
        assert self._clock is not None
        flow = self._flow()
        if flow <= 0:
            later_us = self._clock.now_us() + max(_LOOK_US, least_us)
            self._clock.call_at(later_us, lambda: self._next(0))
            return
        mean_s = max(3600 / flow - _NEAREST_S, 0.1)
        gap_us = int((_NEAREST_S + self._luck.expovariate(1 / mean_s)) * 1e6)
        self._clock.call_at(self._clock.now_us() + max(gap_us, least_us), self._come)

    def _come(self) -> None:
        assert self._clock is not None
        speed = max(self._speed() * self._luck.uniform(0.75, 1.25), 5.0)
        length = self._luck.choice((4.2, 4.6, 4.8, 5.2, 11.5)) + _FIELD_M
        one = Vehicle(self._clock.now_us(), round(speed, 1), int(length / speed * 3.6e6))
        self.came += 1
        self.vehicles.append(one)
        for listener in self._listeners:
            listener(one)
        self._next(one.occupied_us + 400_000)


class LoopDetector:
    """A PinDevice: an open collector that pulls its pin down while a vehicle stands over the loop."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self._line: PinLine | None = None
        lane.listen(self._over)

    def plugged(self, line: PinLine) -> None:
        """It has power."""
        self._line = line
        line.drive(None)
        self.lane.plugged(line.clock)

    def driven(self, level: int | None) -> None:
        """It hears nothing."""

    def _over(self, vehicle: Vehicle) -> None:
        if self._line is not None:
            line = self._line
            line.drive(0)
            line.clock.call_at(vehicle.at_us + vehicle.occupied_us, lambda: line.drive(None))
