"""ROHM BH1750: commands of one byte, counts of 1/1.2 lx (technical note 2011.11-D: pages 5 to 11)."""

from qytet_simulators.hardware.ports import Clock
from qytet_simulators.hardware.sensors.world import Truth

__all__ = ["Bh1750"]

_MEASURE_US = {0x10: 120_000, 0x11: 120_000, 0x13: 16_000, 0x20: 120_000, 0x21: 120_000, 0x23: 16_000}
_ONCE = 0x20
_HALVES = (0x11, 0x21)
_PER_LX = 1.2
_DEFAULT_TIME = 69


class Bh1750:
    """`truth` has `illuminance` in lx; too much light is 0xFFFF."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._clock: Clock | None = None
        self.power_cycle()

    def plugged(self, clock: Clock) -> None:
        """It has power."""
        self._clock = clock

    def power_cycle(self) -> None:
        """Asleep."""
        self.awake, self._mode, self._data = False, 0, 0
        self._ready_us = 0
        self._time = _DEFAULT_TIME

    def write(self, data: bytes) -> bool:
        """Its command."""
        command = data[0]
        if command == 0x00:
            self.awake, self._mode = False, 0
        elif command == 0x01:
            self.awake = True
        elif command == 0x07 and self.awake:
            self._data = 0
        elif command in _MEASURE_US:  # page 5: power on may be left out
            self.awake, self._mode = True, command
            self._ready_us = self._now() + _MEASURE_US[command] * self._time // _DEFAULT_TIME
        elif command >> 3 == 0x08:
            self._time = self._time & 0x1F | (command & 7) << 5
        elif command >> 5 == 0x03:
            self._time = self._time & 0xE0 | command & 0x1F
        return True

    def read(self, count: int) -> bytes:
        """The last measurement that has ended."""
        if self._mode and self._now() >= self._ready_us:
            sharper = 2 if self._mode in _HALVES else 1
            counts = self._truth()["illuminance"] * _PER_LX * sharper * self._time / _DEFAULT_TIME
            self._data = min(max(round(counts), 0), 0xFFFF)
            if self._mode & _ONCE:
                self.awake, self._mode = False, 0
        return self._data.to_bytes(2, "big").ljust(count, b"\xff")[:count]

    def _now(self) -> int:
        return 0 if self._clock is None else self._clock.now_us()
