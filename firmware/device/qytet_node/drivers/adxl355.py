"""Analog Devices ADXL355: vibration and inclination of a structure, over I2C at 0x1D (0x53 with ASEL high).

Datasheet rev. D: register map (table 15), 256000 counts a g at +-2 g (table 1), FIFO of 96 entries of three bytes,
three entries a sample (page 33), output rate 4000 Hz / 2**n with a filter at a quarter of it (table 44).
"""

import asyncio
import math

from qytet_node.drivers.errors import ABSENT, BUSY, RANGE, SensorError, tried
from qytet_node.drivers.keys import keyed
from qytet_node.drivers.vibration import G_MM_S2, Axis

ADDRESS = 0x1D
_DEVID_AD, _PARTID, _STATUS, _FIFO_ENTRIES, _FIFO_DATA = 0x00, 0x02, 0x04, 0x05, 0x11
_FILTER, _RANGE, _POWER_CTL, _RESET = 0x28, 0x2C, 0x2D, 0x2F
_OVERRUN = 0x04
_PER_G = 256000
_SAMPLE = 9
_RATES = {500: (3, 8), 250: (4, 7), 125: (5, 6)}
"""Samples a second: the filter register's code, the shift of `vibration.Axis`."""
_NAMES = (
    "peak_particle_velocity",
    "ppv_dominant_frequency",
    "acceleration_rms",
    "acceleration_peak",
    "inclination",
)


class ADXL355:
    """A reading takes `window_ms`; one directly after the other leaves no gap. Axes are x, y, z of the chip.

    Below `floor_mm_s` (its own noise, integrated, peaks at about 0.2 mm/s) a frequency means nothing and is None.
    """

    PROPERTIES = _NAMES
    WARM_UP_MS = 1000
    MIN_INTERVAL_MS = 0

    def __init__(self, i2c, address=ADDRESS, rate=250, window_ms=10000, floor_mm_s=0.3, channel=""):
        code, shift = _RATES[rate]
        self._i2c, self._address, self._code = i2c, address, code
        self._wanted, self._floor = rate * window_ms // 1000, floor_mm_s
        self._axes = [Axis(rate, G_MM_S2 / _PER_G, shift) for _ in range(3)]
        self._rate, self._gap, self._begun = rate, True, False
        self._fifo, self._one = bytearray(32 * _SAMPLE), bytearray(1)
        suffix = "-" + channel if channel else ""
        self._keys = [[keyed(name, axis + suffix) for name in self.PROPERTIES] for axis in "xyz"]
        self.READ_MS = 2 * window_ms + 2 * self._axes[0].settle * 1000 // rate
        """How long a reading may last: a long write to the flash costs samples, and the window is begun anew."""

    async def start(self):
        """Reset it, +-2 g, and measure from now on."""
        await tried(self._begin)

    async def read(self):
        """Per axis: peak velocity (mm/s), its frequency (Hz), acceleration's rms and peak (m/s2), inclination (deg)."""
        left = self._wanted
        if self._gap:
            left += self._axes[0].settle
        while left > 0:
            had = await tried(self._drain)
            if had < 0:  # samples were lost: all of the window anew
                left = self._wanted + self._axes[0].settle
                continue
            if left > self._wanted >= left - had:
                for axis in self._axes:
                    axis.clear()
            left -= had
            await asyncio.sleep_ms(16 * 1000 // self._rate)
        self._gap = False
        return self._found()

    async def stop(self):
        """Standby."""
        self._gap = True
        try:
            self._set(_POWER_CTL, 1)
        except OSError:
            pass  # an absent sensor rests

    async def _begin(self):
        self._set(_RESET, 0x52)
        await asyncio.sleep_ms(10)
        if self._get(_DEVID_AD) != 0xAD or self._get(_PARTID) != 0xED:
            raise SensorError(ABSENT, "another chip")
        self._set(_FILTER, self._code)
        self._set(_RANGE, 0x01)  # +-2 g, I2C in fast mode
        self._set(_POWER_CTL, 0)
        self._gap, self._begun = True, False

    async def _drain(self):
        """Samples taken over from the FIFO; -1 if it ran over, after which everything begins anew."""
        lost = self._get(_STATUS) & _OVERRUN
        count = min(self._get(_FIFO_ENTRIES) // 3, 32)
        if not count:
            await asyncio.sleep_ms(100)
            if not self._get(_FIFO_ENTRIES):
                raise SensorError(BUSY, "no samples")
            return 0
        view = memoryview(self._fifo)[: count * _SAMPLE]
        self._i2c.readfrom_mem_into(self._address, _FIFO_DATA, view)
        if lost or not view[2] & 1:  # bit 0 marks x; without it the FIFO is out of step
            self._gap, self._begun = True, False
            return -1
        self._feed(view, count)
        return count

    def _feed(self, view, count):
        place, axes = 0, self._axes
        for _ in range(count):
            for axis in axes:
                sample = view[place] << 12 | view[place + 1] << 4 | view[place + 2] >> 4
                if sample & 0x80000:
                    sample -= 0x100000
                if not self._begun:
                    axis.begin(sample)
                axis.add(sample)
                place += 3
            self._begun = True

    def _found(self):
        found = {}
        levels = [axis.level / _PER_G for axis in self._axes]
        for number, axis in enumerate(self._axes):
            velocity, frequency, rms, peak = axis.take()
            others = sum(level * level for level in levels) - levels[number] ** 2
            tilt = math.atan2(levels[number], others**0.5) * 180 / math.pi
            if peak + abs(levels[number]) * G_MM_S2 > 2 * G_MM_S2:
                raise SensorError(RANGE, "beyond 2 g")
            values = (velocity, frequency if velocity >= self._floor else None, rms / 1000, peak / 1000, tilt)
            found.update(zip(self._keys[number], values))
        return found

    def _get(self, register):
        self._i2c.readfrom_mem_into(self._address, register, self._one)
        return self._one[0]

    def _set(self, register, value):
        self._i2c.writeto_mem(self._address, register, bytes((value,)))
