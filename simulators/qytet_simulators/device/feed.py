"""The simulated clock, and the readings that fall due by it: computed in windows ahead, handed out on time."""

import time
from collections import deque

from qytet_simulators.city.model import CityModel, Reading

__all__ = ["Clock", "Feed"]

WINDOW_S = 5.0
"""Wall seconds that one evaluation of the models covers: a call costs tens of milliseconds, however short."""
MOST_READINGS = 20_000
"""Readings computed ahead, about."""


class Clock:
    """Simulated Unix milliseconds: `speed` times as fast as ours, but never ahead of it."""

    def __init__(self, start_ms: int, speed: float) -> None:
        self.start_ms = start_ms
        self.speed = speed
        self._began = time.monotonic()

    def now_ms(self) -> int:
        """The simulated instant."""
        elapsed = (time.monotonic() - self._began) * 1000
        return min(int(self.start_ms + elapsed * self.speed), int(time.time() * 1000))


class Feed:
    """Readings of a whole fleet in order of time, from `start_ms` on."""

    def __init__(self, model: CityModel, start_ms: int, speed: float) -> None:
        self._model = model
        self._until = start_ms
        self._ready: deque[Reading] = deque()
        a_second = sum(1000 / device.interval_ms for device in model.fleet.devices)
        window_s = min(WINDOW_S * speed, max(MOST_READINGS / a_second, 1.0))
        self._window_ms = max(int(window_s * 1000), 1000)

    def due(self, now_ms: int) -> list[Reading]:
        """Readings up to this instant that were not handed out yet; at most about MOST_READINGS at once."""
        found: list[Reading] = []
        while len(found) < MOST_READINGS:
            if not self._ready:
                if self._until > now_ms:
                    break
                end = self._until + self._window_ms
                self._ready.extend(self._model.readings(self._until, end, self._window_ms))
                self._until = end
                continue
            if self._ready[0].t_ms > now_ms:
                break
            found.append(self._ready.popleft())
        return found
