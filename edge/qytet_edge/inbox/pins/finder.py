"""What edges on a wire mean: which of them are a pulse, and which only a contact that bounces."""

import math

__all__ = ["PulseFinder"]


class PulseFinder:
    """Finds pulses among timed edges (seconds, monotonic); pure.

    A burst begins with an activation after at least `debounce_s` without any edge, and is one pulse however often
    it bounces; it counts at a release, once it was active for `min_pulse_s` in all: a spike on a long cable is none.
    Hence both phases of a pulse may be as short as they like, but two pulses follow each other by `debounce_s` of
    rest at least.
    """

    def __init__(self, debounce_s: float, min_pulse_s: float, *, active: bool) -> None:
        self._debounce_s = debounce_s
        self._min_pulse_s = min_pulse_s
        self._active = active
        self._edge = -math.inf
        self._sum = 0.0
        self._counted = False

    def edge(self, now: float, *, active: bool) -> bool:
        """Whether this edge completes a pulse. An edge that says what is known already stands for a missed one."""
        if active == self._active:
            return self._missed(now)
        quiet, self._edge, self._active = now - self._edge, now, active
        if quiet < 0:  # a kernel that stamps edges by the wall clock, and someone set that back
            quiet = math.inf
        if active:
            if quiet >= self._debounce_s:
                self._sum, self._counted = 0.0, False
            return False
        self._sum += quiet
        if self._counted or self._sum < self._min_pulse_s:
            return False
        self._counted = True
        return True

    def _missed(self, now: float) -> bool:
        """Two edges so close that the kernel told one: the level was the other for a moment."""
        found = self.edge(now, active=not self._active)
        return self.edge(now, active=not self._active) or found
