"""JSN-SR04T and A02YYUW: distance by ultrasound, over UART at 9600 baud, 8N1.

JSN-SR04T, modes by the resistor R27: 47 k sends a frame every 100 ms by itself, 120 k answers the byte 0x55 with one. A
frame is `FF high low sum`, millimetres; the sum is the low byte of the other three. The A02YYUW (blind up to 30 mm,
4.5 m at most) sends the same frame by itself.
"""

from qytet_node.drivers.errors import CHECKSUM, RANGE, SensorError, tried


class JSNSR04T:
    """A finder for `distance.Distance`. `asked`: it answers 0x55; nearer than `blind_mm` it hears its own sound."""

    PING_MS = 100
    SOUND = True

    def __init__(self, port, asked=True, blind_mm=250, most_mm=4500):
        self._port, self._asked = port, asked
        self._blind, self._most = blind_mm, most_mm

    async def millimetres(self):
        """One measurement. Raises SensorError: `range` in the blind zone, without an echo, or too far."""
        return await tried(self._measure)

    async def _measure(self):
        self._port.forget()
        if self._asked:
            self._port.write(b"\x55")
        frame = await self._port.after(b"\xff", 4, 300)
        if sum(frame[:3]) & 0xFF != frame[3]:
            raise SensorError(CHECKSUM)
        found = frame[1] << 8 | frame[2]
        if not self._blind < found <= self._most:
            raise SensorError(RANGE, "%d mm" % found)
        return found
