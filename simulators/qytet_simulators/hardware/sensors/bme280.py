"""Bosch BME280: the model of `instruments`, in the board's time (BST-BME280-DS002: 3.3.3 forced mode, 9.1 its time)."""

from qytet_simulators.hardware.ports import Clock
from qytet_simulators.instruments.i2c_chips import Bme280Model

__all__ = ["Bme280"]

_STATUS, _MEASURING = 0xF3, 0x08
_MEASURE_US = 9_300


class Bme280(Bme280Model):
    """`truth` has air_temperature (Cel), relative_humidity (%) and air_pressure (hPa)."""

    _clock: Clock | None = None
    _ready_us: int | None = None
    _control = 0

    def plugged(self, clock: Clock) -> None:
        """It has power."""
        self._clock, self._ready_us = clock, None

    def read(self, count: int) -> bytes:
        """From the register that was written last; a measurement that has ended is in its registers now."""
        if self._ready_us is not None and self._clock is not None and self._clock.now_us() >= self._ready_us:
            self._ready_us = None
            self._registers[_STATUS] &= ~_MEASURING & 0xFF
            super()._measure(self._control)
        return super().read(count)

    def _measure(self, control: int) -> None:
        if self._clock is None:
            super()._measure(control)
            return
        self._control, self._ready_us = control, self._clock.now_us() + _MEASURE_US
        self._registers[_STATUS] |= _MEASURING
