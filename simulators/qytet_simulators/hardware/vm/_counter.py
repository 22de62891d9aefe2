"""`machine.Counter`: the chip counts edges of a pin by itself (ESP32: a PCNT unit)."""

import struct

import _bench
from _bench import ask

_BEGIN, _READ, _END = range(3)
_UNITS = 8


class Counter:
    """Counts from now on; `filter_ns` keeps spikes out, which the bench's wires do not have."""

    RISING, FALLING = 1, 2
    UP, DOWN = 1, -1

    def __init__(self, id, src=None, **options):
        if not 0 <= id < _UNITS:
            raise ValueError("no such counter")
        self._id = id
        if src is not None or options:
            self.init(src, **options)

    def init(self, src=None, *, edge=RISING, direction=UP, filter_ns=0):
        """Begin anew, at 0."""
        if src is None:
            raise TypeError("a counter needs a pin")
        self._sign, self._from = direction, 0
        ask(_bench.COUNTER, self._id, _BEGIN, edge, struct.pack("<i", src.id if hasattr(src, "id") else src))

    def deinit(self):
        """End."""
        ask(_bench.COUNTER, self._id, _END)

    def value(self, value=None):
        """What was counted; perhaps it goes on from another number."""
        counted = self._sign * ask(_bench.COUNTER, self._id, _READ)
        found = counted + self._from
        if value is not None:
            self._from = value - counted
        return found
