"""Nova SDS011: particles by laser scattering, over UART at 9600 baud, 8N1.

Laser dust sensor control protocol V1.3: answers are 10 bytes `AA C0 … AB`, commands 19 bytes `AA B4 … AB`; the
checksum is the sum of bytes 2 to 7 (of an answer) or 2 to 16 (of a command). The laser lives 8000 hours: it sleeps
between readings, so that a reading every five minutes makes eight years of it.
"""

from qytet_node.drivers.errors import CHECKSUM, RANGE, SensorError, tried

_MODE, _QUERY, _SLEEP = 2, 4, 6
_MOST = 9999
"""Tenths of ug/m3: the sensor's range ends at 999.9."""


class SDS011:
    """Works when asked (query mode); `stop` puts fan and laser to rest."""

    PROPERTIES = ("pm2_5", "pm10")
    WARM_UP_MS = 30000  # the fan's spin-up; the maker advises 30 s
    MIN_INTERVAL_MS = 1000

    def __init__(self, port):
        self._port = port

    async def start(self):
        """Wake it and let it answer only when asked."""
        await tried(lambda: self._ask(_SLEEP, 1, 1))
        await tried(lambda: self._ask(_MODE, 1, 1))

    async def read(self):
        """Both mass concentrations in ug/m3."""
        return await tried(self._measure)

    async def stop(self):
        """Fan and laser rest; an answer is not waited for."""
        self._port.write(_command(_SLEEP, 1, 0))

    async def _measure(self):
        frame = await self._ask(_QUERY, 0, 0, b"\xaa\xc0")
        values = [frame[2] | frame[3] << 8, frame[4] | frame[5] << 8]
        if max(values) > _MOST:
            raise SensorError(RANGE, str(max(values)))
        return {"pm2_5": values[0] / 10, "pm10": values[1] / 10}

    async def _ask(self, action, write, value, start=b"\xaa\xc5"):
        self._port.forget()
        self._port.write(_command(action, write, value))
        frame = await self._port.after(start, 10, 1000)
        if frame[9] != 0xAB or sum(frame[2:8]) & 0xFF != frame[8]:
            raise SensorError(CHECKSUM)
        return frame


def _command(action, write, value):
    body = bytes((action, write, value)) + bytes(10) + b"\xff\xff"  # for whichever sensor listens
    return b"\xaa\xb4" + body + bytes((sum(body) & 0xFF, 0xAB))
