"""A distance from above, and what it says of a level: the water under a cover, the waste in a container.

The median of five pings is taken, because an echo from a wall or a bag is far off and rare. Sound needs the temperature
of the air: 331.3 + 0.606 T m/s, and its sensors assume 340 m/s.
"""

import asyncio

from qytet_node.drivers.errors import RANGE, SensorError
from qytet_node.drivers.keys import keyed

_ASSUMED = 340.0
"""m/s, JSN-SR04T manual, mode 1."""
_PINGS, _ENOUGH = 5, 3


class Distance:
    """`finder` has `millimetres()`. Any of these is reported:

    - `distance`, a property in m,
    - `level` (m): `datum_m`, the height of the sensor above the zero of the level, less the distance,
    - `fill` (%): 0 at a distance of `empty_m`, 100 at `full_m`, and what lies beyond is 0 or 100.

    `temperature()` says Cel of the air, or None.
    """

    WARM_UP_MS = 500
    MIN_INTERVAL_MS = 1000

    def __init__(
        self, finder, distance=None, level=None, datum_m=None, fill=None, empty_m=None, full_m=None, **options
    ):
        if (level and datum_m is None) or (fill and (empty_m is None or full_m is None or empty_m <= full_m)):
            raise ValueError("a level needs datum_m, a fill empty_m above full_m")
        self._finder, self._datum, self._empty, self._full = finder, datum_m, empty_m, full_m
        self._temperature = options.get("temperature")
        self.PROPERTIES = tuple(name for name in (distance, level, fill) if name)
        self._keys = [name and keyed(name, options.get("channel", "")) for name in (distance, level, fill)]

    async def start(self):
        """Nothing to wake."""

    async def read(self):
        """m, m and %. Raises SensorError if fewer than three of five pings were answered."""
        metres = await self._median() / 1000
        celsius = self._temperature() if self._temperature and self._finder.SOUND else None
        if celsius is not None:
            metres *= (331.3 + 0.606 * celsius) / _ASSUMED
        distance, level, fill = self._keys
        found = {}
        if distance:
            found[distance] = metres
        if level:
            found[level] = self._datum - metres
        if fill:
            share = (self._empty - metres) / (self._empty - self._full)
            found[fill] = 100 * min(max(share, 0.0), 1.0)
        return found

    async def stop(self):
        """Nothing to stop."""

    async def _median(self):
        found, last = [], None
        for _ in range(_PINGS):
            try:
                found.append(await self._finder.millimetres())
            except SensorError as error:
                last = error
            if last is not None and last.code != RANGE and not found:
                raise last  # a sensor that is silent or garbles is not asked five times
            await asyncio.sleep_ms(self._finder.PING_MS)
        if len(found) < _ENOUGH:
            raise last
        return sorted(found)[len(found) // 2]
