"""Plantower PMS5003: particles by laser scattering, over UART at 9600 baud, 8N1, 3.3 V (its fan needs 5 V).

Datasheet V2.3, appendix I: a frame of 32 bytes, `42 4D`, length 28, thirteen words, high byte first, and their sum.
Words 4 to 6 are PM1, PM2.5 and PM10 under atmospheric conditions, which is what is reported.
"""

import struct

from qytet_node.drivers.errors import CHECKSUM, RANGE, SensorError, tried

_PASSIVE = b"\x42\x4d\xe1\x00\x00\x01\x70"
_READ = b"\x42\x4d\xe2\x00\x00\x01\x71"
_SLEEP = b"\x42\x4d\xe4\x00\x00\x01\x73"
_WAKE = b"\x42\x4d\xe4\x00\x01\x01\x74"
_FRAME = 32
_MOST = 1000
"""ug/m3 of the largest value that it can send (datasheet: maximum range)."""


class PMS5003:
    """Reads in passive mode; between readings it may sleep, which spares the laser."""

    PROPERTIES = ("pm1", "pm2_5", "pm10")
    WARM_UP_MS = 30000  # datasheet: stable data at least 30 seconds after wake-up
    MIN_INTERVAL_MS = 1000

    def __init__(self, port):
        self._port = port

    async def start(self):
        """Wake the fan; values count after WARM_UP_MS."""
        self._port.write(_WAKE)
        self._port.write(_PASSIVE)

    async def read(self):
        """The three mass concentrations in ug/m3."""
        return await tried(self._exchange)

    async def stop(self):
        """Let fan and laser rest."""
        self._port.write(_SLEEP)

    async def _exchange(self):
        self._port.forget()
        self._port.write(_READ)
        frame = await self._port.after(b"\x42\x4d", _FRAME, 1500)
        numbers = struct.unpack(">15H", frame[2:])
        if numbers[0] != _FRAME - 4 or sum(frame[:-2]) != numbers[14]:
            raise SensorError(CHECKSUM)
        values = numbers[4:7]
        if max(values) > _MOST:
            raise SensorError(RANGE, str(max(values)))
        return dict(zip(self.PROPERTIES, values))
