"""Bosch BME280: temperature, humidity and pressure, over I2C at 0x76 (0x77 with SDO high).

Datasheet BST-BME280-DS002, revision 1.6: memory map (5.3), trimming (4.2.2, table 16), compensation in integers (4.2.3:
an ESP32's floats have too few digits for the pressure), "weather monitoring" (3.5.1): one measurement when asked, no
oversampling, no filter, which heats it least.
"""

import asyncio
import struct

from qytet_node.drivers.errors import ABSENT, BUSY, CHECKSUM, RANGE, SensorError, tried
from qytet_node.drivers.keys import keyed

ADDRESS = 0x76
_ID, _IS = 0xD0, 0x60
_CTRL_HUM, _STATUS, _CTRL_MEAS, _DATA = 0xF2, 0xF3, 0xF4, 0xF7
_TRIM, _TRIM_HUM = 0x88, 0xE1
_ONCE = 0x25  # temperature x1, pressure x1, forced mode
_MEASURE_MS = 10  # 9.1: 9.3 ms at most
_SKIPPED, _SKIPPED_HUM = 0x80000, 0x8000  # 5.4.7: not measured


class BME280:
    """Measures once when asked and sleeps by itself."""

    PROPERTIES = ("air_temperature", "relative_humidity", "air_pressure")
    WARM_UP_MS = 0
    MIN_INTERVAL_MS = 1000

    def __init__(self, i2c, address=ADDRESS, channel=""):
        self._i2c, self._address, self._trim = i2c, address, None
        self._keys = [keyed(name, channel) for name in self.PROPERTIES]

    async def start(self):
        """See that it is a BME280 and take over its coefficients."""
        self._trim = None
        await tried(self._load)

    async def read(self):
        """Cel, % and hPa."""
        return await tried(self._measure)

    async def stop(self):
        """It sleeps after each measurement."""

    async def _load(self):
        if self._get(_ID, 1)[0] != _IS:
            raise SensorError(ABSENT, "another chip")
        trim = trimming(self._get(_TRIM, 26), self._get(_TRIM_HUM, 7))
        if trim[0] in (0, 0xFFFF) or trim[3] in (0, 0xFFFF):
            raise SensorError(CHECKSUM, "no coefficients")
        self._trim = trim

    async def _measure(self):
        if self._trim is None:
            await self._load()
        self._i2c.writeto_mem(self._address, _CTRL_HUM, b"\x01")
        self._i2c.writeto_mem(self._address, _CTRL_MEAS, bytes((_ONCE,)))
        await asyncio.sleep_ms(_MEASURE_MS)
        if self._get(_STATUS, 1)[0] & 0x08:
            raise SensorError(BUSY)
        data = self._get(_DATA, 8)
        pressure = data[0] << 12 | data[1] << 4 | data[2] >> 4
        temperature = data[3] << 12 | data[4] << 4 | data[5] >> 4
        humidity = data[6] << 8 | data[7]
        if _SKIPPED in (pressure, temperature) or humidity == _SKIPPED_HUM:
            raise SensorError(BUSY, "not measured")
        centi, humid, pascal = compensated(self._trim, temperature, pressure, humidity)
        if not -4000 <= centi <= 8500 or not 30000 * 256 <= pascal <= 110000 * 256:
            raise SensorError(RANGE, "%d, %d" % (centi, pascal))
        return dict(zip(self._keys, (centi / 100, humid / 1024, pascal / 25600)))

    def _get(self, register, size):
        return self._i2c.readfrom_mem(self._address, register, size)


def trimming(low, high):
    """T1 … T3, P1 … P9, H1 … H6 from registers 0x88 to 0xA1 and 0xE1 to 0xE7 (table 16)."""
    h2, h3, h4, middle, h5, h6 = struct.unpack("<hBbBbb", high)
    words = struct.unpack("<HhhHhhhhhhhh", low[:24])
    humidity = (low[25], h2, h3, h4 << 4 | middle & 15, h5 << 4 | middle >> 4, h6)
    return words + humidity


def compensated(trim, raw_t, raw_p, raw_h):
    """Hundredths of Cel, 1024ths of %, 256ths of Pa (4.2.3: 32-bit for the first two, 64-bit for pressure)."""
    t1, t2, t3 = trim[:3]
    fine = (((raw_t >> 3) - (t1 << 1)) * t2 >> 11) + ((((raw_t >> 4) - t1) ** 2 >> 12) * t3 >> 14)
    return (fine * 5 + 128) >> 8, _humidity(trim[12:], fine, raw_h), _pressure(trim[3:12], fine, raw_p)


def _pressure(p, fine, raw):
    x = fine - 128000
    offset = x * x * p[5] + (x * p[4] << 17) + (p[3] << 35)
    scale = ((1 << 47) + (x * x * p[2] >> 8) + (x * p[1] << 12)) * p[0] >> 33
    if not scale:
        raise SensorError(RANGE, "coefficients")
    found = (((1048576 - raw) << 31) - offset) * 3125 // scale
    return ((found + (p[8] * (found >> 13) ** 2 >> 25) + (p[7] * found >> 19)) >> 8) + (p[6] << 4)


def _humidity(h, fine, raw):
    h1, h2, h3, h4, h5, h6 = h
    x = fine - 76800
    slope = (((x * h6 >> 10) * ((x * h3 >> 11) + 32768) >> 10) + 2097152) * h2 + 8192 >> 14
    found = ((raw << 14) - (h4 << 20) - h5 * x + 16384 >> 15) * slope
    found -= ((found >> 15) ** 2 >> 7) * h1 >> 4
    return min(max(found, 0), 419430400) >> 12
