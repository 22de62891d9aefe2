"""A meter by pulses: water by the litre, rain by the tip, wind by the turn."""

import time

from qytet_node.drivers.keys import keyed

_EXACT = 1 << 22


class Pulse:
    """`edges` counts; `pulses_per_unit` of them make a m3, a mm, a kWh. Any of these is reported:

    - `total`: of all time, with `store`, a `total.Total` (it steps when that saves, and is None while it cannot),
    - `amount`: since the last reading,
    - `rate`: one property or several of the same value, over the time since the last reading: units an hour, or with
      `per_hz` that times pulses a second, plus `offset` if it turns at all (an anemometer's equation).
    """

    WARM_UP_MS = 0
    MIN_INTERVAL_MS = 500

    def __init__(self, edges, pulses_per_unit=1, total=None, store=None, amount=None, rate=(), **options):
        if bool(total) != (store is not None):
            raise ValueError("a total and its store go together")
        rates = (rate,) if isinstance(rate, str) else tuple(rate)
        self._edges, self._per_unit, self._store = edges, pulses_per_unit, store
        self._per_hz = options.get("per_hz", 3600 / pulses_per_unit)
        self._offset = options.get("offset", 0.0)
        self._clock = options.get("clock", time)
        channel = options.get("channel", "")
        self.PROPERTIES = tuple(name for name in (total, amount) if name) + rates
        self._total = total and keyed(total, channel)
        self._amount = amount and keyed(amount, channel)
        self._rates = [keyed(name, channel) for name in rates]
        self._before = self._at = 0

    async def start(self):
        """Take over the total and begin to count. Raises SensorError if the total's file is broken."""
        if self._store is not None:
            self._store.load()
        self._edges.listen()
        self._before, self._at = self._edges.look(), self._clock.ticks_ms()

    async def read(self):
        """What was counted since the last reading, and of all time."""
        pulses, elapsed_ms = self._take()
        found = {}
        if self._total:
            told = self._store.told()
            found[self._total] = None if told is None else self._units(told)
        if self._amount:
            found[self._amount] = self._units(pulses)
        for key in self._rates:
            found[key] = self._speed(pulses, elapsed_ms)
        return found

    async def stop(self):
        """Save the total, and end."""
        self._edges.deaf()
        if self._store is not None and self._store.saved is not None:
            self._take()
            self._store.told(force=True)

    def _take(self):
        now = self._clock.ticks_ms()
        pulses = self._edges.since(self._before)
        self._before = (self._before + pulses) & 0x3FFFFFFF
        elapsed, self._at = self._clock.ticks_diff(now, self._at), now
        if self._store is not None:
            self._store.add(pulses)
        return pulses, elapsed

    def _units(self, pulses):
        """Whole numbers where floats of 32 bits (seven digits) would round a total up and then fall back."""
        if not isinstance(self._per_unit, int):
            return pulses / self._per_unit
        whole, rest = divmod(pulses, self._per_unit)
        return whole + rest / self._per_unit if rest and whole < _EXACT else whole

    def _speed(self, pulses, elapsed_ms):
        if elapsed_ms < self.MIN_INTERVAL_MS:
            return None  # the first reading after a start: a moment without a pulse is no calm
        return pulses * 1000 / elapsed_ms * self._per_hz + self._offset if pulses else 0.0
