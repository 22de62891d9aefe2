"""The wall's time as a bench lives it: what passes while the machine lets the bench do nothing does not count.

Else a server that answers as fast as ever would come too late, because the bench slept through the time it was given.
"""

import time

__all__ = ["LOOK_S", "Wall"]

LOOK_S = 0.1
"""How often to look, at least, while something depends on it."""
_MOST_S = 0.25
"""What counts between two looks."""


class Wall:
    """For one thread."""

    def __init__(self) -> None:
        self._seen = time.monotonic()
        self._lived_s = 0.0

    def now(self) -> float:
        """Seconds that were lived through; they only grow."""
        now, before = time.monotonic(), self._seen
        self._seen = now
        self._lived_s += min(now - before, _MOST_S)
        return self._lived_s
