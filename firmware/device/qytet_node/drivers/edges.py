"""A pin that something switches (reed, contact, motion sensor, loop): debounced, counted and timed by interrupts.

The first edge counts at once; for `debounce_ms` after it nothing else does, then the level decides. So a bounce is one
edge, and a pulse that was over before the interrupt was served is still counted. The handler allocates nothing.
"""

import time

_MASK = 0x3FFFFFFF
"""Counters wrap where a small integer ends: beyond, the handler would have to allocate."""


class Edges:
    """`pin` is an input; it is active at the level `active`. `flag.set()` is called at each change, if given.

    `look` must be called at least once in six days, as ticks wrap; every reading does.
    """

    def __init__(self, pin, active=0, debounce_ms=50, clock=time, flag=None):
        self._pin, self._active, self._debounce = pin, active, debounce_ms
        self._now, self._diff, self._flag = clock.ticks_ms, clock.ticks_diff, flag
        self._handler = self._heard  # bound once: an interrupt must not allocate it
        self.count, self.state = 0, False
        self._raw, self._raw_at, self._since, self._locked = False, 0, 0, False
        self._held, self._held_from = 0, 0

    def listen(self):
        """Begin; the state that is found is not counted."""
        now = self._now()
        self.state = self._raw = self._pin.value() == self._active
        self._raw_at = self._since = self._held_from = now
        self._locked, self._held = False, 0
        self._pin.irq(self._handler, self._pin.IRQ_FALLING | self._pin.IRQ_RISING)

    def deaf(self):
        """End."""
        self._pin.irq(None)

    def look(self):
        """Settle what the last edges left open; gives the count, modulo 2**30."""
        now = self._now()
        self._settle(now)
        self._level(now)
        if not self._locked and self._raw != self.state:
            self._turn(self._raw, now)
        return self.count

    def since(self, before):
        """How many more than `before`, a count."""
        return (self.look() - before) & _MASK

    def held_ms(self):
        """For how long it was active since this was last asked."""
        self.look()
        now = self._now()
        # An interrupt comes where the program branches (py/vm.c): what is taken before that is taken in one.
        held, begun, self._held, self._held_from = self._held, self._held_from, 0, now
        if self.state:
            held += self._diff(now, begun)
        return max(0, held)

    def _heard(self, _):
        now = self._now()
        self._settle(now)
        if not self._locked:
            self._turn(not self.state, now)
        self._level(now)

    def _settle(self, now):
        # An edge may have come after `now`; what looks much older than that has outlived the wrap.
        while self._locked and not -self._debounce < self._diff(now, self._since) < self._debounce:
            self._locked = False
            if self._raw != self.state:
                self._turn(self._raw, self._raw_at)

    def _level(self, now):
        raw = self._pin.value() == self._active
        if raw != self._raw:
            self._raw, self._raw_at = raw, now

    def _turn(self, state, at):
        self.state, self._since, self._locked = state, at, True
        if state:
            self.count = (self.count + 1) & _MASK
            self._held_from = at
        else:
            self._held += self._diff(at, self._held_from)
        if self._flag is not None:
            self._flag.set()


class Hardware:
    """The same face on a counter of the chip (`machine.Counter`): for pulses that are clean and fast."""

    def __init__(self, counter):
        self._counter = counter

    def listen(self):
        """It counts already."""

    def deaf(self):
        """It may go on."""

    def look(self):
        """The count, modulo 2**30."""
        return self._counter.value() & _MASK

    def since(self, before):
        """How many more than `before`, a count."""
        return (self.look() - before) & _MASK
