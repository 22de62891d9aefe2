"""A counting radar beside the road: one bin of a lane at a time, over UART at 115200 baud, 8N1.

The protocol is this project's own; numbers are little-endian, the last two bytes are Modbus' CRC-16 of those before.

    question   51 lane last crc            last: the number of the bin that was received last; 0 after a start
    answer     52 lane number tenths(2) count(2) speeds(4) occupied(4) crc

A bin is what was counted in `tenths` of a second: vehicles, the sum of their speeds in tenths of km/h, and the
milliseconds during which the lane was occupied. The radar keeps a bin and gives it again until a question names its
number as `last`; then the next one, which began where this one ended, gets the next number (1 to 255 and again 1; after
power-up it begins at any). 0 tells it to forget what waits, because it may have been received before the start. So no
vehicle is lost with an answer, and none is counted twice. A bin holds sums only: nothing in it belongs to one vehicle.
"""

import struct

from qytet_node.drivers.crc import crc16_modbus
from qytet_node.drivers.errors import BUSY, CHECKSUM, RANGE, SensorError, tried
from qytet_node.drivers.keys import keyed

_ANSWER = 17
_FASTEST = 2500
"""Tenths of km/h: the catalogue's highest possible mean."""


class Radar:
    """One lane of it; several lanes share a port, which `lock` (an asyncio.Lock) then guards."""

    PROPERTIES = ("vehicle_count", "vehicle_speed_mean", "lane_occupancy")
    WARM_UP_MS = 5000
    MIN_INTERVAL_MS = 1000

    def __init__(self, port, lane, channel=None, lock=None):
        self._port, self._lane, self._lock, self._last = port, lane, lock, 0
        self._keys = [keyed(name, channel or "lane%d" % lane) for name in self.PROPERTIES]

    async def start(self):
        """Have the radar begin a bin: what it counted before is not known to be new."""
        self._last = 0
        await self._bin()

    async def read(self):
        """Vehicles, their mean speed in km/h (None without a vehicle), and % of time; since the last reading."""
        tenths, count, speeds, occupied = await self._bin()
        if not tenths or occupied > tenths * 100 + 100 or (count and not count <= speeds <= count * _FASTEST):
            raise SensorError(RANGE, "%d in %d" % (count, tenths))
        speed = speeds / (count * 10) if count else None
        return dict(zip(self._keys, (count, speed, min(100.0, occupied / tenths))))

    async def stop(self):
        """It goes on counting."""

    async def _bin(self):
        if self._lock is None:
            return await tried(self._ask)
        async with self._lock:
            return await tried(self._ask)

    async def _ask(self):
        question = bytes((0x51, self._lane, self._last))
        self._port.forget()
        self._port.write(question + struct.pack("<H", crc16_modbus(question)))
        answer = await self._port.after(bytes((0x52, self._lane)), _ANSWER, 500)
        if crc16_modbus(answer[:-2]) != answer[-2] | answer[-1] << 8:
            raise SensorError(CHECKSUM)
        number, tenths, count, speeds, occupied = struct.unpack_from("<BHHII", answer, 2)
        if not number or number == self._last:
            raise SensorError(BUSY, "bin %d again" % number)
        self._last = number
        return tenths, count, speeds, occupied
