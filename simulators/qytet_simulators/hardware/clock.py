"""Virtual time of a bench: it goes forward only when told, and does what is due on the way, in order."""

import heapq
import itertools
from collections.abc import Callable

__all__ = ["Due", "VirtualClock"]


class Due:
    """A call that is due at `at_us`."""

    __slots__ = ("_act", "at_us")

    def __init__(self, at_us: int, act: Callable[[], None]) -> None:
        self.at_us = at_us
        self._act: Callable[[], None] | None = act

    @property
    def waits(self) -> bool:
        """Whether it will still happen."""
        return self._act is not None

    def cancel(self) -> None:
        """Do not call; harmless when it has happened."""
        self._act = None

    def happen(self) -> None:
        """Call, once."""
        act, self._act = self._act, None
        if act is not None:
            act()


class VirtualClock:
    """Microseconds since the bench was made; `start_unix_ms` is the true time of day at 0. For one thread."""

    def __init__(self, start_unix_ms: int) -> None:
        self._now = 0
        self._start = start_unix_ms
        self._waiting: list[tuple[int, int, Due]] = []
        self._order = itertools.count()

    def now_us(self) -> int:
        """Microseconds since the bench was made."""
        return self._now

    def unix_ms(self) -> int:
        """The true time of day, Unix milliseconds."""
        return self._start + self._now // 1000

    def call_at(self, at_us: int, act: Callable[[], None]) -> Due:
        """Call `act` when time reaches `at_us`; if it has, at the next step of time, even one of length 0."""
        due = Due(max(at_us, self._now), act)
        heapq.heappush(self._waiting, (due.at_us, next(self._order), due))
        return due

    def next_us(self) -> int | None:
        """When the next call is due; None if none is."""
        while self._waiting and not self._waiting[0][2].waits:
            heapq.heappop(self._waiting)
        return self._waiting[0][0] if self._waiting else None

    def advance(self, to_us: int) -> None:
        """Go forward to `to_us`, doing everything that is due until then; never goes back."""
        while (following := self.next_us()) is not None and following <= to_us:
            due = heapq.heappop(self._waiting)[2]
            self._now = max(self._now, due.at_us)
            due.happen()
        self._now = max(self._now, to_us)
