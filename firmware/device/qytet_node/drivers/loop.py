"""A lane's detector that is active while a vehicle stands over it (inductive loop, light barrier)."""

import time

from qytet_node.drivers.keys import keyed


class Loop:
    """Counts arrivals and adds up how long the lane was occupied; a single loop knows no speed.

    Pulses last 10 ms and more: `edges` with a `debounce_ms` of 5.
    """

    PROPERTIES = ("vehicle_count", "lane_occupancy")
    WARM_UP_MS = 0
    MIN_INTERVAL_MS = 1000

    def __init__(self, edges, lane, clock=time):
        self._edges, self._clock = edges, clock
        self._keys = [keyed(name, lane) for name in self.PROPERTIES]
        self._before = self._at = 0

    async def start(self):
        """Begin a bin."""
        self._edges.listen()
        self._before, self._at = self._edges.look(), self._clock.ticks_ms()

    async def read(self):
        """Vehicles and % of the time since the last reading, None of a moment; one that still stands counts in both."""
        now = self._clock.ticks_ms()
        held = self._edges.held_ms()
        vehicles = self._edges.since(self._before)
        self._before += vehicles
        elapsed, self._at = self._clock.ticks_diff(now, self._at), now
        share = min(100.0, held * 100 / elapsed) if elapsed >= self.MIN_INTERVAL_MS else None
        return dict(zip(self._keys, (vehicles, share)))

    async def stop(self):
        """End."""
        self._edges.deaf()
