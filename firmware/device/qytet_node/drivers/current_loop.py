"""A 4-20 mA transmitter across a shunt: pressure, level and whatever else speaks by current.

NAMUR NE 43: 3.8 to 20.5 mA is a value, up to 3.6 and from 21 mA is a fault of the sensor or its wire.
"""

from qytet_node.drivers.errors import ABSENT, RANGE, SensorError

_BROKEN, _LOWEST, _HIGHEST, _FAULT = 3.6, 3.8, 20.5, 21.0


class CurrentLoop:
    """4 mA is `low`, 20 mA `high`, in the property's unit.

    `volts` is a function and a channel, with which it is awaited for the volts across `shunt_ohm`.
    """

    WARM_UP_MS = 1000
    MIN_INTERVAL_MS = 100

    def __init__(self, volts, key, low, high, shunt_ohm=100.0):
        self._volts, self._key = volts, key
        self._low, self._high, self._shunt = low, high, shunt_ohm
        self.PROPERTIES = (key.partition(":")[0],)

    async def start(self):
        """Nothing to wake."""

    async def read(self):
        """The value. Raises SensorError: `absent` for a broken wire, `range` for a fault current."""
        volts, channel = self._volts
        current = await volts(channel) / self._shunt * 1000
        if current <= _BROKEN:
            raise SensorError(ABSENT, "%.2f mA: broken wire" % current)
        if current >= _FAULT or not _LOWEST <= current <= _HIGHEST:
            raise SensorError(RANGE, "%.2f mA" % current)
        return {self._key: self._low + (current - 4) / 16 * (self._high - self._low)}

    async def stop(self):
        """Nothing to stop."""
