"""Bosch BME688: temperature, humidity, pressure and the raw resistance of a gas sensor, over I2C at 0x76 (0x77).

Datasheet BST-BME688-DS000: memory map (5.2), field 0 (5.3), heater profile and forced mode (3.2, 3.3, 3.6). The
formulas are those of its section 3, in integers. An index of air quality is not made here: resistance is what was
measured.
"""

import asyncio
import struct

from qytet_node.drivers.errors import ABSENT, BUSY, CHECKSUM, RANGE, SensorError, tried
from qytet_node.drivers.keys import keyed

ADDRESS = 0x76
_ID, _IS, _VARIANT, _IS_688 = 0xD0, 0x61, 0xF0, 0x01
_FIELD = 0x1D
_RES_HEAT, _GAS_WAIT = 0x5A, 0x64
_CTRL_GAS_0, _CTRL_GAS_1, _CTRL_HUM, _CTRL_MEAS, _CONFIG = 0x70, 0x71, 0x72, 0x74, 0x75
_ONCE = 0x25  # temperature x1, pressure x1, forced mode
_RUN_GAS = 0x20  # run_gas of the BME688, heater profile 0
_NEW, _VALID, _HOT = 0x80, 0x20, 0x10
_MEASURE_MS = 15  # temperature, pressure and humidity, x1 each


class BME688:
    """One measurement when asked: first the air, then the gas sensor, heated to `heater_c` for `heater_ms`."""

    PROPERTIES = ("air_temperature", "relative_humidity", "air_pressure", "gas_resistance")
    WARM_UP_MS = 0
    MIN_INTERVAL_MS = 3000

    def __init__(self, i2c, address=ADDRESS, heater_c=320, heater_ms=150, channel=""):
        self._i2c, self._address = i2c, address
        self._heater_c, self._heater_ms = min(heater_c, 400), min(heater_ms, 4032)
        self._trim, self._ambient = None, 25
        self._keys = [keyed(name, channel) for name in self.PROPERTIES]

    async def start(self):
        """See that it is a BME688 and take over its coefficients."""
        self._trim = None
        await tried(self._load)

    async def read(self):
        """Cel, %, hPa and Ohm; the resistance is None if the heater did not get hot enough to mean anything."""
        return await tried(self._measure)

    async def stop(self):
        """It sleeps after each measurement, and the heater with it."""

    async def _load(self):
        if self._get(_ID, 1)[0] != _IS or self._get(_VARIANT, 1)[0] != _IS_688:
            raise SensorError(ABSENT, "another chip")
        trim = Trim(self._get(0x8A, 23) + self._get(0xE1, 14) + self._get(0x00, 5))
        if trim.t[0] in (0, 0xFFFF) or trim.p[0] in (0, 0xFFFF):
            raise SensorError(CHECKSUM, "no coefficients")
        self._trim = trim

    async def _measure(self):
        if self._trim is None:
            await self._load()
        heat = self._trim.heater(self._heater_c, self._ambient)
        for register, value in (
            (_CTRL_GAS_0, 0),
            (_RES_HEAT, heat),
            (_GAS_WAIT, wait_code(self._heater_ms)),
            (_CTRL_GAS_1, _RUN_GAS),
            (_CTRL_HUM, 1),
            (_CONFIG, 0),
            (_CTRL_MEAS, _ONCE),
        ):
            self._i2c.writeto_mem(self._address, register, bytes((value,)))
        await asyncio.sleep_ms(_MEASURE_MS + self._heater_ms)
        return self._values(await self._finished())

    async def _finished(self):
        for _ in range(5):
            data = self._get(_FIELD, 17)
            if data[0] & _NEW:
                return data
            await asyncio.sleep_ms(10)
        raise SensorError(BUSY, "no new values")

    def _values(self, data):
        pressure = data[2] << 12 | data[3] << 4 | data[4] >> 4
        temperature = data[5] << 12 | data[6] << 4 | data[7] >> 4
        centi, milli, pascal = self._trim.compensated(temperature, pressure, data[8] << 8 | data[9])
        if not -4000 <= centi <= 8500 or not 30000 <= pascal <= 110000:
            raise SensorError(RANGE, "%d, %d" % (centi, pascal))
        self._ambient = centi // 100
        hot = data[16] & _VALID and data[16] & _HOT
        ohm = resistance(data[15] << 2 | data[16] >> 6, data[16] & 15) if hot else None
        return dict(zip(self._keys, (centi / 100, milli / 1000, pascal / 100, ohm)))

    def _get(self, register, size):
        return self._i2c.readfrom_mem(self._address, register, size)


class Trim:
    """The coefficients: 23 bytes from 0x8A, 14 from 0xE1 and 5 from 0x00, in one (datasheet 3, tables)."""

    def __init__(self, data):
        self.t = struct.unpack_from("<H", data, 31) + struct.unpack_from("<hb", data, 0)
        first = struct.unpack_from("<Hhb", data, 4)
        p4, p5, p7, p6 = struct.unpack_from("<hhbb", data, 10)
        middle = (p4, p5, p6, p7)
        self.p = first + middle + struct.unpack_from("<hhB", data, 18)
        h1, h2 = data[25] << 4 | data[24] & 15, data[23] << 4 | data[24] >> 4
        first = (h1, h2)
        self.h = first + struct.unpack_from("<bbbBb", data, 26)
        gh2, gh1, gh3 = struct.unpack_from("<hbb", data, 33)
        self.g = (gh1, gh2, gh3)
        self.heat_value, self.heat_range = struct.unpack_from("<b", data, 37)[0], data[39] >> 4 & 3

    def compensated(self, raw_t, raw_p, raw_h):
        """Hundredths of Cel, thousandths of %, Pa."""
        t1, t2, t3 = self.t
        x = (raw_t >> 3) - (t1 << 1)
        fine = (x * t2 >> 11) + (((x >> 1) ** 2 >> 12) * (t3 << 4) >> 14)
        centi = (fine * 5 + 128) >> 8
        return centi, self._humidity(centi, raw_h), self._pressure(fine, raw_p)

    def heater(self, celsius, ambient):
        """The register that makes the heater so hot, both in Cel (3.3.5, whose integers take hundredths)."""
        gh1, gh2, gh3 = self.g
        warmth = (gh1 + 784) * (((gh2 + 154009) * celsius * 5 // 100 + 3276800) // 10)
        found = (ambient * gh3 * 2560 + warmth // 2) // (self.heat_range + 4)
        found = (found // (131 * self.heat_value + 65536) - 250) * 34
        return min(max((found + 50) // 100, 0), 255)

    def _pressure(self, fine, raw):
        p1, p2, p3, p4, p5, p6, p7, p8, p9, p10 = self.p
        x = (fine >> 1) - 64000
        square = (x >> 2) ** 2
        offset = ((square >> 11) * p6 >> 2) + (x * p5 << 1)
        offset = (offset >> 2) + (p4 << 16)
        scale = ((square >> 13) * (p3 << 5) >> 3) + (p2 * x >> 1) >> 18
        scale = (32768 + scale) * p1 >> 15
        if not scale:
            raise SensorError(RANGE, "coefficients")
        found = (1048576 - raw - (offset >> 12)) * 3125 * 2 // scale
        more = (p9 * ((found >> 3) ** 2 >> 13) >> 12) + ((found >> 2) * p8 >> 13)
        more += (found >> 8) ** 3 * p10 >> 17
        return found + (more + (p7 << 7) >> 4)

    def _humidity(self, centi, raw):
        h1, h2, h3, h4, h5, h6, h7 = self.h
        above = raw - (h1 << 4) - (centi * h3 // 100 >> 1)
        curve = (centi * (centi * h5 // 100) >> 6) // 100
        linear = above * (h2 * (centi * h4 // 100 + curve + 16384) >> 10)
        bend = ((h6 << 7) + centi * h7 // 100 >> 4) * ((linear >> 14) ** 2 >> 10) >> 1
        return min(max((linear + bend >> 10) * 1000 >> 12, 0), 100000)


def resistance(raw, gas_range):
    """Ohm (3.4.1)."""
    return 1000000 * (262144 >> gas_range) // (4096 + 3 * (raw - 512))


def wait_code(ms):
    """The register for a time of heating: six bits times 1, 4, 16 or 64 (3.3.5)."""
    factor = 0
    while ms > 63:
        ms >>= 2
        factor += 1
    return ms | factor << 6
