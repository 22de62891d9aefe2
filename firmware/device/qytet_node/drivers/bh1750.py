"""ROHM BH1750: illuminance, over I2C at 0x23 (0x5C with ADDR high).

Technical note 2011.11-D: instruction set (page 5), 120 ms typically and 180 ms at most for a high resolution
measurement (page 2), counts / 1.2 is lux (page 7).
"""

import asyncio
import struct

from qytet_node.drivers.errors import RANGE, SensorError, tried

ADDRESS = 0x23
_POWER_DOWN, _POWER_ON, _ONCE_HIGH = b"\x00", b"\x01", b"\x20"


class BH1750:
    """Measures once when asked and sleeps in between."""

    MIN_INTERVAL_MS = 200
    WARM_UP_MS = 0

    def __init__(self, i2c, address=ADDRESS, key="photocell_illuminance"):
        self._i2c, self._address, self._key = i2c, address, key
        self.PROPERTIES = (key,)

    async def start(self):
        """See that it is there."""
        await tried(self._wake)

    async def read(self):
        """Illuminance in lx."""
        return await tried(self._measure)

    async def stop(self):
        """Sleep."""
        try:
            self._i2c.writeto(self._address, _POWER_DOWN)
        except OSError:
            pass  # an absent sensor rests

    async def _wake(self):
        self._i2c.writeto(self._address, _POWER_ON)

    async def _measure(self):
        self._i2c.writeto(self._address, _POWER_ON)
        self._i2c.writeto(self._address, _ONCE_HIGH)
        await asyncio.sleep_ms(180)
        raw = struct.unpack(">H", self._i2c.readfrom(self._address, 2))[0]
        if raw == 0xFFFF:
            raise SensorError(RANGE, "too bright")
        return {self._key: raw / 1.2}
