"""Texas Instruments ADS1115: the model of `instruments`, with the time of a conversion (SBAS444E: 9.5.3, table 8)."""

from qytet_simulators.hardware.ports import Clock
from qytet_simulators.instruments.i2c_chips import Ads1115Model

__all__ = ["Ads1115"]

_RATES = (8, 16, 32, 64, 128, 250, 475, 860)
_CONFIG, _IDLE = 1, 0x8000


class Ads1115(Ads1115Model):
    """`truth` has volts0 to volts3. What it converts is what was at the input when the conversion ended."""

    _clock: Clock | None = None
    _ready_us: int | None = None
    _wanted = 0

    def plugged(self, clock: Clock) -> None:
        """It has power."""
        self._clock, self._ready_us = clock, None

    def read(self, count: int) -> bytes:
        """A register; the top bit of the configuration says whether a conversion has ended."""
        if self._ready_us is not None and self._clock is not None:
            if self._clock.now_us() >= self._ready_us:
                self._ready_us = None
                self._registers[_CONFIG] |= _IDLE
                super()._convert(self._wanted)
            else:
                self._registers[_CONFIG] &= ~_IDLE
        return super().read(count)

    def _convert(self, config: int) -> None:
        if self._clock is None:
            super()._convert(config)
            return
        self._wanted = config
        self._ready_us = self._clock.now_us() + 1_000_000 // _RATES[config >> 5 & 7] + 25
