"""Sensirion SCD41: carbon dioxide by photoacoustics, over I2C at 0x62.

Datasheet v1.4, section 3: 16-bit commands, 16-bit words each with a CRC-8. Periodic measurement every 5 s; its
automatic self-calibration needs fresh air (about 400 ppm) once a week.
"""

import asyncio

from qytet_node.drivers.checks import crc8_sensirion, words
from qytet_node.drivers.errors import BUSY, CHECKSUM, RANGE, SHORT, SensorError, tried

ADDRESS = 0x62
_STOP, _START, _READY, _READ, _PRESSURE = 0x3F86, 0x21B1, 0xE4B8, 0xEC05, 0xE000
_STOP_MS = 500  # section 3.5.3: it answers nothing before


class SCD41:
    """`pressure_hpa`, if known, compensates for it: at Korçë's height the error would be a tenth of the value."""

    PROPERTIES = ("co2", "air_temperature", "relative_humidity")
    WARM_UP_MS = 5000
    MIN_INTERVAL_MS = 5000

    def __init__(self, i2c, address=ADDRESS, pressure_hpa=None):
        self._i2c, self._address, self._pressure = i2c, address, pressure_hpa

    async def start(self):
        """Begin to measure; one that measured already is stopped first, as it takes no other command."""
        await tried(
            lambda: self._command(_STOP), pause_ms=_STOP_MS // 2
        )  # it may be stopping since before a restart
        await asyncio.sleep_ms(_STOP_MS)
        if self._pressure is not None:
            await tried(lambda: self._command(_PRESSURE, int(self._pressure)))
        await tried(lambda: self._command(_START))

    async def read(self):
        """CO2 in ppm, temperature of the air in the sensor in Cel, humidity in %."""
        return await tried(self._measure)

    async def stop(self):
        """End the measurement."""
        try:
            await self._command(_STOP)
        except OSError:
            pass  # an absent sensor rests

    async def _measure(self):
        if not (await self._words(_READY, 1))[0] & 0x07FF:  # section 3.6.2: the low eleven bits
            raise SensorError(BUSY, "no new values yet")
        co2, temperature, humidity = await self._words(_READ, 3)
        if not co2 or co2 > 40000:
            raise SensorError(RANGE, str(co2))
        return {
            "co2": co2,
            "air_temperature": -45 + 175 * temperature / 65535,
            "relative_humidity": 100 * humidity / 65535,
        }

    async def _command(self, code, argument=None):
        data = bytes((code >> 8, code & 0xFF))
        if argument is not None:
            word = bytes((argument >> 8, argument & 0xFF))
            data += word + bytes((crc8_sensirion(word),))
        self._i2c.writeto(self._address, data)
        await asyncio.sleep_ms(1)

    async def _words(self, code, count):
        await self._command(code)
        data = self._i2c.readfrom(self._address, count * 3)
        if len(data) != count * 3:
            raise SensorError(SHORT, "%d bytes" % len(data))
        try:
            return words(data)
        except ValueError as error:
            raise SensorError(CHECKSUM, str(error))
