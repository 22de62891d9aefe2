"""How fast time may go: as it can while nobody outside is waited for, as on the wall while an answer is due."""

import math
import time

from qytet_simulators.hardware.clock import VirtualClock
from qytet_simulators.hardware.wall import Wall

__all__ = ["TimeKeeper"]


class TimeKeeper:
    """Lets a clock go on. `speed` is how many times faster than on the wall at most; `limit_us` where time stops.

    Where time is held to the wall's it goes on as the bench lives it (`wall`); a clock that is bound to the wall's all
    the time keeps up with it.
    """

    def __init__(self, clock: VirtualClock, wall: Wall, speed: float) -> None:
        self._clock, self._wall = clock, wall
        self.speed = speed
        self.limit_us: int | None = None
        self._seen, self._lived = time.monotonic(), wall.now()
        self._rate = 0.0
        self._held = False
        self.real_s = 0.0
        """Real seconds for which time was held to the wall's."""

    def go(self, to_us: int | None, busy: bool) -> float | None:
        """Go towards `to_us` (None: anywhere); returns the real seconds after which to go on, 0 if it is there.

        None means that no time will bring it about: the limit is reached, or there is nothing to go to.
        """
        self._catch_up(to_us)
        self._rate, self._held = (1.0 if busy else self.speed), busy
        goal = self._allowed(to_us)
        if goal is not None and math.isinf(self._rate):
            self._clock.advance(goal)
        now = self._clock.now_us()
        if to_us is not None and to_us <= now:
            self._clock.advance(now)
            return 0.0
        return None if goal is None or goal <= now else (goal - now) / self._rate / 1e6

    def pause(self) -> None:
        """The program works, or is let go on: that costs no time, or what the wall says if time is bound to it."""
        self._catch_up(None)
        self._rate, self._held = (0.0 if math.isinf(self.speed) else min(self.speed, 1.0)), False

    def _catch_up(self, to_us: int | None) -> None:
        """Account for the real time since it was last looked, at the rate that held since."""
        now, before, lived, lived_before = time.monotonic(), self._seen, self._wall.now(), self._lived
        self._seen, self._lived = now, lived
        self.real_s += now - before if self._held else 0.0
        if self._rate and not math.isinf(self._rate):
            passed_s = lived - lived_before if self._rate < self.speed else now - before
            there = self._clock.now_us() + int(passed_s * self._rate * 1e6)
            goal = self._allowed(to_us)
            self._clock.advance(there if goal is None else max(min(goal, there), self._clock.now_us()))

    @property
    def at_limit(self) -> bool:
        """Whether time stands still."""
        return self.limit_us is not None and self._clock.now_us() >= self.limit_us

    def _allowed(self, to_us: int | None) -> int | None:
        if self.limit_us is None:
            return to_us
        return self.limit_us if to_us is None else min(to_us, self.limit_us)
