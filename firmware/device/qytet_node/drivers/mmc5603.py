"""Memsic MMC5603NJ: a parking place by its magnetic field, over I2C at 0x30.

Datasheet rev. B: registers (page 10), 20 bits, 16384 counts a gauss, zero at 524288 (page 3); a measurement with
automatic set and reset, which takes the bridge's own offset out, ends within 8 ms at the lowest bandwidth.
"""

import asyncio
import time

from qytet_node.drivers.errors import ABSENT, BUSY, CHECKSUM, RANGE, SensorError, tried
from qytet_node.drivers.keys import keyed
from qytet_node.drivers.occupancy import Occupancy

ADDRESS = 0x30
_DATA, _STATUS, _CONTROL_0, _PRODUCT = 0x00, 0x18, 0x1B, 0x39
_MEASURE, _DONE, _IS = 0x21, 0x40, 0x10  # TM_M and Auto_SR_en; Meas_M_done
_NT = 100000
_COUNTS = 16384
_MOVED_NT = 2000
"""How far the baseline drifts before it is worth saving."""


class MMC5603:
    """Reports `parking_space_occupied`, and with `raw` the field of each axis in uT.

    The baseline is kept by `store` (an object with `load() -> triple or None` and `save(triple)`), so that a vehicle
    that stands there during a reset is still seen; on the first start of all the place must be empty.
    """

    WARM_UP_MS = 0
    MIN_INTERVAL_MS = 100

    def __init__(self, i2c, address=ADDRESS, store=None, raw=False, channel="", clock=time, **limits):
        self._i2c, self._address, self._store, self._raw = i2c, address, store, raw
        self._clock, self._limits, self._occupancy, self._at, self._saved = clock, limits, None, 0, None
        self._key = keyed("parking_space_occupied", channel)
        suffix = "-" + channel if channel else ""
        self._axes = [keyed("magnetic_flux_density", axis + suffix) for axis in "xyz"]
        self.PROPERTIES = ("parking_space_occupied",) + (("magnetic_flux_density",) if raw else ())

    async def start(self):
        """See that it is there and take over the baseline."""
        await tried(self._see)
        if self._occupancy is None:
            self._saved = self._store.load() if self._store else None
            self._occupancy = Occupancy(self._saved, **self._limits)
        self._at = self._clock.ticks_ms()

    async def read(self):
        """1 or 0; and uT."""
        field = await tried(self._measure)
        if self._occupancy is None:
            await self.start()
        now = self._clock.ticks_ms()
        state = self._occupancy.take(field, max(0, self._clock.ticks_diff(now, self._at)))
        self._at = now
        self._keep()
        found = {self._key: state}
        if self._raw:
            found.update(zip(self._axes, [value / 1000 for value in field]))
        return found

    def calibrate(self):
        """Take the next reading for the field of the empty place."""
        self._saved, self._occupancy = None, Occupancy(None, **self._limits)

    async def stop(self):
        """It sleeps after each measurement."""

    async def _see(self):
        if self._i2c.readfrom_mem(self._address, _PRODUCT, 1)[0] != _IS:
            raise SensorError(ABSENT, "another chip")

    async def _measure(self):
        self._i2c.writeto_mem(self._address, _CONTROL_0, bytes((_MEASURE,)))
        for _ in range(5):
            await asyncio.sleep_ms(8)
            if self._i2c.readfrom_mem(self._address, _STATUS, 1)[0] & _DONE:
                break
        else:
            raise SensorError(BUSY)
        data = self._i2c.readfrom_mem(self._address, _DATA, 9)
        if data == bytes(9) or data == b"\xff" * 9:
            raise SensorError(CHECKSUM, "no field")
        field = [
            _nanotesla(data[2 * axis] << 12 | data[2 * axis + 1] << 4 | data[6 + axis] >> 4)
            for axis in range(3)
        ]
        if max(abs(value) for value in field) > 3000000:
            raise SensorError(RANGE, "beyond 30 G")
        return field

    def _keep(self):
        """Save a baseline that has moved; a full flash only costs that."""
        base = self._occupancy.baseline
        if self._store is None:
            return
        if self._saved is None or max(abs(a - b) for a, b in zip(base, self._saved)) > _MOVED_NT:
            try:
                self._store.save(base)
                self._saved = base
            except OSError:
                pass  # tried again at the next reading


def _nanotesla(counts):
    return (counts - 524288) * _NT // _COUNTS
