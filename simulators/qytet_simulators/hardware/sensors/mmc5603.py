"""Memsic MMC5603NJ: a magnetic field of three axes, 20 bits (data sheet rev. B: pages 3, 10 to 14)."""

from qytet_simulators.hardware.sensors.registers import RegisterChip
from qytet_simulators.hardware.sensors.world import Truth

__all__ = ["Mmc5603"]

_DATA, _STATUS, _CONTROL_0, _CONTROL_1, _PRODUCT = 0x00, 0x18, 0x1B, 0x1C, 0x39
_MEASURE, _AUTO = 0x01, 0x20
_DONE = 0x40
_MEASURE_US = (6_600, 3_500, 2_000, 1_200)
_PER_UT, _ZERO, _TOP = 16384 / 100, 524_288, (1 << 20) - 1
_OFFSET_UT = (31.0, -12.0, 7.5)
"""The bridge's own offset, which only set and reset take out."""


class Mmc5603(RegisterChip):
    """`truth` has x, y and z in uT."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        super().__init__()

    def power_cycle(self) -> None:
        """Nothing was measured yet."""
        super().power_cycle()
        self.registers[_PRODUCT], self.registers[_STATUS] = 0x10, 0x10
        self._ready_us: int | None = None
        self._clean = False

    def wrote(self, register: int, value: int) -> None:
        """Settings, and the order to measure."""
        if register == _CONTROL_1 and value & 0x80:
            self.power_cycle()
        elif register == _CONTROL_0:
            if value & _MEASURE:
                self._clean = bool(value & _AUTO)
                self.registers[_STATUS] &= ~_DONE & 0xFF
                self._ready_us = self.now_us() + _MEASURE_US[self.registers[_CONTROL_1] & 3]
        else:
            super().wrote(register, value)

    def refresh(self) -> None:
        """A measurement that has ended is in its registers."""
        if self._ready_us is None or self.now_us() < self._ready_us:
            return
        self._ready_us = None
        self.registers[_STATUS] |= _DONE
        truth = self._truth()
        for number, axis in enumerate("xyz"):
            field = truth[axis] + (0 if self._clean else _OFFSET_UT[number])
            word = min(max(round(field * _PER_UT) + _ZERO, 0), _TOP)
            self.registers[_DATA + 2 * number : _DATA + 2 * number + 2] = (word >> 4).to_bytes(2, "big")
            self.registers[_DATA + 6 + number] = (word & 15) << 4
