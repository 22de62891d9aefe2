"""Analog Devices ADXL355: acceleration by its FIFO (data sheet rev. D: registers of table 15, FIFO of page 33)."""

import math
from collections.abc import Mapping

from qytet_simulators.hardware.sensors.registers import RegisterChip
from qytet_simulators.hardware.sensors.world import Truth

__all__ = ["Adxl355"]

_STATUS, _ENTRIES, _XDATA, _FIFO = 0x04, 0x05, 0x08, 0x11
_FILTER, _RANGE, _POWER, _RESET = 0x28, 0x2C, 0x2D, 0x2F
_READY, _FULL, _OVERRUN = 0x01, 0x02, 0x04
_PER_G = {1: 256_000, 2: 128_000, 3: 64_000}
_SAMPLES = 32
_G = 9.80665
_EMPTY = b"\0\0\x02"
_MOST = (1 << 19) - 1


class Adxl355(RegisterChip):
    """`truth` has for each axis a (x, y, z) tilt_a in deg, velocity_a in mm/s (peak) and frequency_a in Hz.

    Every axis swings as a sine of that velocity about what gravity makes of its tilt.
    """

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        super().__init__()

    def power_cycle(self) -> None:
        """Standby."""
        super().power_cycle()
        self.registers[0:4] = b"\xad\x1d\xed\x01"
        self.registers[_RANGE], self.registers[_POWER], self.registers[0x29] = 0x81, 0x01, 0x60
        self._began_us, self._taken, self._lost = self.now_us(), 0, False
        self._rest = b""

    def wrote(self, register: int, value: int) -> None:
        """A setting; at the end of standby, and at another rate, it begins to sample anew."""
        if register == _RESET:
            if value == 0x52:
                self.power_cycle()
            return
        super().wrote(register, value)
        if register in (_POWER, _FILTER):
            self._began_us, self._taken, self._lost, self._rest = self.now_us(), 0, False, b""

    def read(self, count: int) -> bytes | None:
        """Registers; or the FIFO, from which any number of bytes may be read."""
        if self._at == _FIFO:
            return self._from_fifo(count)
        seen = self._at <= _STATUS < self._at + count
        data = super().read(count)
        self._lost = self._lost and not seen  # page 33: reading the status takes the overrun away
        return data

    def refresh(self) -> None:
        """Status, number of entries (three for each sample), and the last sample."""
        waiting = self._waiting()
        entries = 3 * waiting
        self.registers[_STATUS] = (
            (_READY if waiting else 0)
            | (_FULL if entries >= self.registers[0x29] else 0)
            | (_OVERRUN if self._lost else 0)
        )
        self.registers[_ENTRIES] = entries
        if waiting:
            last = self._sample(self._made() - 1, self._truth())
            self.registers[_XDATA : _XDATA + 9] = bytes(
                byte & 0xF0 if place % 3 == 2 else byte for place, byte in enumerate(last)
            )

    def _rate(self) -> float:
        return 4000 / (1 << (self.registers[_FILTER] & 15))

    def _made(self) -> int:
        if self.registers[_POWER] & 1:
            return self._taken
        return int((self.now_us() - self._began_us) * self._rate() / 1e6)

    def _waiting(self) -> int:
        """Samples in the FIFO; what does not fit pushes out the oldest."""
        made = self._made()
        if made - self._taken > _SAMPLES:
            self._taken, self._lost, self._rest = made - _SAMPLES, True, b""
        return made - self._taken

    def _from_fifo(self, count: int) -> bytes:
        data, truth = bytearray(self._rest), self._truth()
        waiting = self._waiting()
        while len(data) < count and waiting:
            data += self._sample(self._taken, truth)
            self._taken += 1
            waiting -= 1
        while len(data) < count:
            data += _EMPTY
        self._rest = bytes(data[count:])
        return bytes(data[:count])

    def _sample(self, number: int, known: Mapping[str, float]) -> bytes:
        at = self._began_us / 1e6 + number / self._rate()
        data = b""
        per_g = _PER_G[max(self.registers[_RANGE] & 3, 1)]
        for axis in "xyz":
            turn = 2 * math.pi * known["frequency_" + axis]
            swing = known["velocity_" + axis] / 1000 * turn / _G * math.sin(turn * at)
            counts = round((math.sin(math.radians(known["tilt_" + axis])) + swing) * per_g)
            word = min(max(counts, -_MOST - 1), _MOST) & 0xFFFFF
            data += (word << 4 | (1 if axis == "x" else 0)).to_bytes(3, "big")
        return data
