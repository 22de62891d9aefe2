"""How fast time may go: as it can while nobody outside is waited for, as on the wall while an answer is due."""

import math
import time

from qytet_simulators.hardware.clock import VirtualClock

__all__ = ["TimeKeeper"]


class TimeKeeper:
    """Lets a clock go on. `speed` is how many times faster than on the wall at most; `limit_us` where time stops."""

    def __init__(self, clock: VirtualClock, speed: float) -> None:
        self._clock = clock
        self.speed = speed
        self.limit_us: int | None = None
        self._seen = time.monotonic()
        self.real_s = 0.0
        """Real seconds for which time was held to the wall's."""

    def go(self, to_us: int | None, busy: bool) -> float | None:
        """Go towards `to_us` (None: anywhere); returns the real seconds after which to go on, 0 if it is there.

        None means that no time will bring it about: the limit is reached.
        """
        now, before = time.monotonic(), self._seen
        self._seen = now
        rate = 1.0 if busy else self.speed
        self.real_s += now - before if busy else 0.0
        goal = self._allowed(to_us)
        if goal is None or goal <= self._clock.now_us():
            self._clock.advance(self._clock.now_us())
            return 0.0 if to_us is not None and to_us <= self._clock.now_us() else None
        if math.isinf(rate):
            self._clock.advance(goal)
        else:
            self._clock.advance(min(goal, self._clock.now_us() + int((now - before) * rate * 1e6)))
        left = goal - self._clock.now_us()
        return 0.0 if left <= 0 or math.isinf(rate) else left / rate / 1e6

    def rest(self) -> None:
        """Real time that has gone by until now does not count."""
        self._seen = time.monotonic()

    @property
    def at_limit(self) -> bool:
        """Whether time stands still."""
        return self.limit_us is not None and self._clock.now_us() >= self.limit_us

    def _allowed(self, to_us: int | None) -> int | None:
        if self.limit_us is None:
            return to_us
        return self.limit_us if to_us is None else min(to_us, self.limit_us)
