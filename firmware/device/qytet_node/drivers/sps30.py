"""Sensirion SPS30: particles by laser scattering, over UART at 115200 baud, 8N1 (SEL pin open).

Datasheet v1.0, section 5, SHDLC: `7E address command length data… checksum 7E`, bytes 7E 7D 11 13 stuffed; the
checksum is the inverted low byte of the sum of what stands between the flags. Values are big-endian floats.
"""

import struct

from qytet_node.drivers.errors import BUSY, CHECKSUM, RANGE, SHORT, SensorError, tried

_START, _STOP, _READ, _SLEEP, _WAKE = 0x00, 0x01, 0x03, 0x10, 0x11
_FLAG, _ESCAPE = 0x7E, 0x7D
_STUFFED = (0x7E, 0x7D, 0x11, 0x13)
_VALUES = 40
_MOST = 1000
"""ug/m3 of its range (datasheet, table 1)."""


class SPS30:
    """Measures from `start` on."""

    PROPERTIES = ("pm1", "pm2_5", "pm4", "pm10", "particle_number_concentration_pm0_5")
    WARM_UP_MS = 30000  # datasheet, table 1: start-up time in clean air, 30 s at most
    MIN_INTERVAL_MS = 1000

    def __init__(self, port):
        self._port = port

    async def start(self):
        """Wake it and begin to measure, in floats."""
        self._port.write(b"\xff")  # the first byte only wakes its receiver (section 5.3)
        self._port.write(_frame(_WAKE, b""))
        await tried(lambda: self._ask(_START, b"\x01\x03", also=(0x43,)))  # 0x43: it measures already

    async def read(self):
        """Mass concentrations in ug/m3, number concentration in 1/cm3."""
        return await tried(self._measure)

    async def stop(self):
        """Laser and fan rest."""
        self._port.write(_frame(_STOP, b""))
        self._port.write(_frame(_SLEEP, b""))

    async def _measure(self):
        data = await self._ask(_READ, b"")
        if not data:
            raise SensorError(BUSY, "no new values yet")
        if len(data) != _VALUES:
            raise SensorError(SHORT, "%d bytes of values" % len(data))
        numbers = struct.unpack(">10f", data)
        if not all(0 <= value <= _MOST for value in numbers[:4]):  # also what is no number
            raise SensorError(RANGE, str(numbers[3]))
        return dict(zip(self.PROPERTIES, numbers[:5]))

    async def _ask(self, command, data, also=()):
        self._port.forget()
        self._port.write(_frame(command, data))
        frame = await self._answer()
        if len(frame) < 5 or ~sum(frame[:-1]) & 0xFF != frame[-1]:
            raise SensorError(CHECKSUM)
        if frame[1] != command or frame[3] != len(frame) - 5:
            raise SensorError(SHORT, "an answer to something else")
        if frame[2] & 0x7F and frame[2] & 0x7F not in also:
            raise SensorError(BUSY, "state %02x" % frame[2])
        return frame[4:-1]

    async def _answer(self):
        """What stands between two flags, unstuffed."""
        while (await self._port.exactly(1, 1000))[0] != _FLAG:
            pass
        found, escaped = bytearray(), False
        while len(found) < 64:
            byte = (await self._port.exactly(1, 200))[0]
            if byte == _FLAG:
                if found:
                    return bytes(found)
                continue  # the end of a frame before this one
            if byte == _ESCAPE:
                escaped = True
                continue
            found.append(byte ^ 0x20 if escaped else byte)
            escaped = False
        raise SensorError(SHORT, "a frame without an end")


def _frame(command, data):
    body = bytes((0, command, len(data))) + data
    body += bytes((~sum(body) & 0xFF,))
    stuffed = bytearray()
    for byte in body:
        stuffed += bytes((_ESCAPE, byte ^ 0x20)) if byte in _STUFFED else bytes((byte,))
    return b"\x7e" + bytes(stuffed) + b"\x7e"
