"""How the node knows the time: an offset to its own uptime, so that a step of the clock reorders nothing.

`up` is milliseconds since boot and only grows. `t` of a record is `up` plus the offset that was known then; before the
first answer of a time server there is none, and the record says so (`t` null, quality `none`): the server dates it
later from a record of the same boot that has both.
"""

from qytet_node.lent import lent

_WRAP = 1 << 30
"""MicroPython's ticks wrap at this, unless the port says otherwise; only differences below half of it are used."""


class Clock:
    """`ticks_ms` gives wrapping milliseconds, `ticks_diff` their difference; `floor_ms` is when this program was made.

    A time before the floor is a clock that was never set, whoever says it.
    """

    def __init__(self, ticks_ms, ticks_diff, floor_ms):
        self._ticks, self._diff, self.floor = ticks_ms, ticks_diff, floor_ms
        self._last = ticks_ms()
        self._up = 0
        self.offset = None
        self.quality = "none"
        self.set_at = 0
        self.steps = 0
        self.drift_ppm = 0.0  # by which it is slow (fast: below 0), less what may be the answers' spread
        self.refused = 0

    def up(self):
        """Whole milliseconds since boot. Must be asked at least once in six days, which the supervisor does."""
        now = self._ticks()
        self._up += max(0, self._diff(now, self._last))
        self._last = now
        return self._up

    def now(self):
        """Unix milliseconds and how they are known: `(None, "none")` before the clock is set."""
        return self.at(self.up())

    def at(self, up):
        """The same for an instant given as uptime."""
        if self.offset is None:
            return None, "none"
        return up + self.offset, self.quality

    @property
    def is_set(self):
        """Whether the time is known."""
        return self.offset is not None

    def set(self, unix_ms, quality, spread_ms=0):
        """Take a time over; tells whether it was believed.

        `spread_ms` is how far off it may be (half of the round trip): a correction within it is not made, because it
        would be noise.
        """
        up = self.up()  # before the rest is read from flash, which takes some tens of milliseconds
        return lent("correcting").correct(self, up, unix_ms, quality, spread_ms)
