"""Growing, jittered pauses between tries, so that what is broken is tried ever more rarely, and not all at once."""

import random

__all__ = ["Pauses"]


class Pauses:
    """Seconds to wait before each next try: `first`, doubling to `most`, each drawn from half to the whole of it."""

    def __init__(self, first: float, most: float, seed: object = None) -> None:
        self._first = first
        self._most = most
        self._next = first
        self._dice = random.Random(repr(seed) if seed is not None else None)  # noqa: S311 (spreads load, guards nothing)

    def next(self) -> float:
        """The pause before the next try."""
        pause = self._next
        self._next = min(self._next * 2, self._most)
        return pause * self._dice.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked: begin again with the shortest."""
        self._next = self._first
