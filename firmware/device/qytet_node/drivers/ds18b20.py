"""Maxim DS18B20: temperature, over 1-Wire.

Datasheet 19-7487, rev 6: scratchpad (figure 9), conversion 750 ms at 12 bits (table 2), the register says 85 Cel after
power-up until a conversion has ended (which a cable with a bad contact makes happen at any time).
"""

import asyncio
import struct

from qytet_node.drivers.crc import crc8_maxim
from qytet_node.drivers.errors import ABSENT, BUSY, CHECKSUM, RANGE, SensorError, tried
from qytet_node.drivers.keys import keyed

_SKIP_ROM, _CONVERT, _READ_SCRATCHPAD = 0xCC, 0x44, 0xBE
_CONVERT_MS = 750
_POWER_UP = 0x0550
_MOST = 125 * 16


class DS18B20:
    """`bus` is an `onewire.OneWire`; `rom` (8 bytes) chooses one of several, None speaks to the only one."""

    WARM_UP_MS = 0
    MIN_INTERVAL_MS = 1000

    def __init__(self, bus, name="water_temperature", rom=None, channel=""):
        self._bus, self._rom = bus, rom
        self._key = keyed(name, channel)
        self.PROPERTIES = (name,)

    async def start(self):
        """See that some chip answers."""
        await tried(self._see)

    async def read(self):
        """Cel, in sixteenths."""
        return await tried(self._measure)

    async def stop(self):
        """It sleeps after each conversion."""

    async def _see(self):
        if not self._bus.reset():
            raise SensorError(ABSENT)

    async def _measure(self):
        await self._command(_CONVERT)
        await asyncio.sleep_ms(_CONVERT_MS)
        await self._command(_READ_SCRATCHPAD)
        data = bytes([self._bus.readbyte() for _ in range(9)])
        if crc8_maxim(data[:8]) != data[8]:
            raise SensorError(CHECKSUM)
        if data[4] & 0x9F != 0x1F:  # a line at ground reads zeros, whose CRC is right
            raise SensorError(ABSENT, "no configuration")
        sixteenths = struct.unpack("<h", data[:2])[0]
        if sixteenths == _POWER_UP:
            raise SensorError(BUSY, "power-up value")
        if not -55 * 16 <= sixteenths <= _MOST:
            raise SensorError(RANGE, str(sixteenths))
        return {self._key: sixteenths / 16}

    async def _command(self, command):
        await self._see()
        if self._rom is None:
            self._bus.writebyte(_SKIP_ROM)
        else:
            self._bus.select_rom(self._rom)
        self._bus.writebyte(command)
