"""Texas Instruments ADS1115: four analogue inputs with 16 bits, over I2C at 0x48 to 0x4B.

Datasheet SBAS444E: table 8 (the configuration register), section 9.5.3 (single shot). What is behind an input is a
driver of its own (`current_loop`, `electrochemical`).
"""

import asyncio
import struct

from qytet_node.drivers.errors import RANGE, TIMEOUT, SensorError, tried

ADDRESS = 0x48
_CONVERSION, _CONFIG = 0, 1
_START, _SINGLE, _NO_COMPARATOR = 0x8000, 0x0100, 0x0003
_SINGLE_ENDED = 0x4000
_RATE_128 = 0x0080


class ADS1115:
    """`volts(channel)` measures one input against ground, once."""

    def __init__(self, i2c, address=ADDRESS, scale=4.096):
        scales = (6144, 4096, 2048, 1024, 512, 256)  # full scale in mV by the gain's bits (table 8: PGA)
        if int(scale * 1000 + 0.5) not in scales:
            raise ValueError("no such scale: " + str(scale))
        self._gain = scales.index(int(scale * 1000 + 0.5)) << 9
        self._i2c, self._address, self._scale = i2c, address, scale
        self._lock = asyncio.Lock()  # it measures one input at a time, for whoever asks

    async def volts(self, channel):
        """Volts at input 0 to 3. Raises SensorError: at full scale it says `range`, as the true value is unknown."""
        async with self._lock:
            return await tried(lambda: self._measure(channel))

    async def _measure(self, channel):
        config = _START | _SINGLE_ENDED | channel << 12 | self._gain | _SINGLE | _RATE_128 | _NO_COMPARATOR
        self._i2c.writeto_mem(self._address, _CONFIG, struct.pack(">H", config))
        for _ in range(5):
            await asyncio.sleep_ms(8)  # 128 a second
            if self._i2c.readfrom_mem(self._address, _CONFIG, 2)[0] & 0x80:
                break
        else:
            raise SensorError(TIMEOUT, "no conversion")
        raw = struct.unpack(">h", self._i2c.readfrom_mem(self._address, _CONVERSION, 2))[0]
        if raw >= 32767 or raw <= -32768:
            raise SensorError(RANGE, "full scale")
        return raw * self._scale / 32768
