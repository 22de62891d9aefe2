"""Contacts that close: meters by pulses, doors, motion sensors."""

import random
from collections import deque
from collections.abc import Callable

from qytet_simulators.hardware.ports import Clock, PinLine

__all__ = ["Door", "Motion", "PulseMeter"]

_KEPT = 20_000


class _Contact:
    """A contact to ground, or with `active` 1 to the supply; open it leaves the pin to its pull."""

    def __init__(self, active: int = 0) -> None:
        self._active = active
        self._pin: PinLine | None = None
        self._clock: Clock | None = None
        self.closed = False

    def plugged(self, line: PinLine) -> None:
        """The board has power; what moves the contact does not ask for it."""
        self._pin = line
        first, self._clock = self._clock is None, line.clock
        self._show()
        self.powered()
        if first:
            self.begin()

    def driven(self, level: int | None) -> None:
        """It hears nothing."""

    @property
    def clock(self) -> Clock:
        """Virtual time."""
        assert self._clock is not None
        return self._clock

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something in so many seconds."""
        self.clock.call_at(self.clock.now_us() + max(int(seconds * 1e6), 1), act)

    def put(self, *, closed: bool) -> None:
        """Close or open it."""
        self.closed = closed
        self._show()

    def begin(self) -> None:
        """The first time that there is power."""

    def powered(self) -> None:
        """Each time that there is."""

    def _show(self) -> None:
        if self._pin is not None:
            self._pin.drive(self._active if self.closed else None)


class PulseMeter(_Contact):
    """A meter whose contact closes once a unit of what flows; `rate()` is pulses a second, now.

    `count` is the truth, and counts on while the board has no power; `at_ms` when the last ones were (Unix ms). A
    `bounce_us` makes the contact open once again that long after it has closed.
    """

    def __init__(
        self, rate: Callable[[], float], *, closed_s: float = 0.1, bounce_us: int = 0, active: int = 0
    ) -> None:
        super().__init__(active)
        self._rate, self._closed_s, self._bounce_us = rate, closed_s, bounce_us
        self.count = 0
        self.at_ms: deque[int] = deque(maxlen=_KEPT)

    def begin(self) -> None:
        """The first pulse comes when a whole one has flown by."""
        self._next()

    def _next(self) -> None:
        rate = self._rate()
        if rate <= 0:
            self.after(1.0, self._next)
        else:
            self.after(1 / rate, self._pulse)

    def _pulse(self) -> None:
        self.count += 1
        self.at_ms.append(self.clock.unix_ms())
        self.put(closed=True)
        rate = max(self._rate(), 1e-9)
        if self._bounce_us:
            self.after(self._bounce_us / 1e6, lambda: self.put(closed=False))
            self.after(2 * self._bounce_us / 1e6, lambda: self.put(closed=True))
        self.after(min(self._closed_s, 0.4 / rate), lambda: self.put(closed=False))
        self._next()


class Door(_Contact):
    """A door that is opened at times: `opened_ms` has (from, until) in Unix ms."""

    def __init__(self, luck: random.Random, *, first_s: float = 240.0, active: int = 0) -> None:
        super().__init__(active)
        self._luck, self._first_s = luck, first_s
        self.opened_ms: deque[tuple[int, int]] = deque(maxlen=_KEPT)

    def begin(self) -> None:
        """Closed for now."""
        self.after(self._first_s, self._open)

    def _open(self) -> None:
        stays = self._luck.choice((0.3, 25.0, 400.0))
        now = self.clock.unix_ms()
        self.opened_ms.append((now, now + int(stays * 1000)))
        self.put(closed=True)
        self.after(stays, lambda: self.put(closed=False))
        self.after(stays + self._luck.expovariate(1 / 5000), self._open)


class Motion(_Contact):
    """HC-SR501: its output is high for `holds_s` after a motion; in its first minute it fires by itself up to thrice.

    `rate()` is motions an hour. `seen_ms` are the motions that it was able to see, `false_ms` what it made up.
    """

    def __init__(self, rate: Callable[[], float], luck: random.Random, *, holds_s: float = 3.0) -> None:
        super().__init__(active=1)
        self._rate, self._luck, self._holds_s = rate, luck, holds_s
        self.seen_ms: deque[int] = deque(maxlen=_KEPT)
        self.false_ms: deque[int] = deque(maxlen=_KEPT)
        self._warm_us = 0

    def powered(self) -> None:
        """It must settle."""
        self._warm_us = self.clock.now_us() + 60_000_000
        for _ in range(self._luck.randrange(1, 4)):
            self.after(self._luck.uniform(2, 55), self._settles)

    def begin(self) -> None:
        """Whoever passes by passes."""
        self._next()

    def _settles(self) -> None:
        if not self.closed:
            self.false_ms.append(self.clock.unix_ms())
            self._fire()

    def _next(self) -> None:
        rate = self._rate()
        if rate <= 0:
            self.after(1.0, self._next)
        else:
            self.after(self._holds_s + 1 + self._luck.expovariate(rate / 3600), self._passes)

    def _passes(self) -> None:
        if not self.closed and self.clock.now_us() > self._warm_us:
            self.seen_ms.append(self.clock.unix_ms())
            self._fire()
        self._next()

    def _fire(self) -> None:
        self.put(closed=True)
        self.after(self._holds_s, lambda: self.put(closed=False))
