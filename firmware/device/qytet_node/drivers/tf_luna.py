"""Benewake TF-Luna: distance by the time that light takes, over UART at 115200 baud, 8N1.

Product manual SJ-PM-TF-Luna A05: a frame of nine bytes, 100 a second, `59 59 distance strength temperature sum`, low
byte first, distance in cm, the sum's low byte at the end; a strength below 100 or of 65535 makes the distance
unreliable (section 4.3); 0.2 to 8 m.
"""

import struct

from qytet_node.drivers.errors import CHECKSUM, RANGE, SensorError, tried

_WEAK, _BLINDED = 100, 0xFFFF


class TFLuna:
    """A finder for `distance.Distance`."""

    PING_MS = 20
    SOUND = False

    def __init__(self, port, blind_mm=200, most_mm=8000):
        self._port, self._blind, self._most = port, blind_mm, most_mm

    async def millimetres(self):
        """One measurement. Raises SensorError: `range` if too near, too far, or too little or much light came back."""
        return await tried(self._measure)

    async def _measure(self):
        self._port.forget()
        frame = await self._port.after(b"\x59\x59", 9, 200)
        if sum(frame[:8]) & 0xFF != frame[8]:
            raise SensorError(CHECKSUM)
        distance, strength = struct.unpack_from("<HH", frame, 2)
        if strength < _WEAK or strength == _BLINDED:
            raise SensorError(RANGE, "strength %d" % strength)
        if not self._blind <= distance * 10 <= self._most:
            raise SensorError(RANGE, "%d cm" % distance)
        return distance * 10
