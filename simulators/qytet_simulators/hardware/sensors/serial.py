"""What serial sensors have in common: they hear commands, speak frames that may be spoilt, and settle after waking."""

import random
from collections.abc import Callable

from qytet_simulators.hardware.ports import UartLine
from qytet_simulators.hardware.spoil import spoilt
from qytet_simulators.instruments.uart import Faults

__all__ = ["SerialSensor"]


class SerialSensor:
    """A UartDevice; a chip fills in `power_up` and `listen`.

    `faults` and `silent` (a broken wire) may be changed at any time; `said` and `wrong` count its frames.
    """

    baudrate = 9600
    checksum_at = -1
    """Index of a byte of the checksum in a frame."""

    def __init__(self, *, faults: Faults | None = None, seed: object = 0) -> None:
        self.faults = faults or Faults()
        self.silent = False
        self.said = self.wrong = 0
        self._luck = random.Random(str(seed))
        self._held = bytearray()
        self._powers = 0
        self._line: UartLine | None = None

    @property
    def line(self) -> UartLine:
        """The wire. Raises RuntimeError before there was power."""
        if self._line is None:
            raise RuntimeError("a sensor without power has no line")
        return self._line

    def now_us(self) -> int:
        """Virtual time."""
        return self.line.clock.now_us()

    def plugged(self, line: UartLine) -> None:
        """It wakes as new."""
        self._line = line
        self._powers += 1
        self._held.clear()
        self.power_up()

    def heard(self, data: bytes) -> None:
        """Take in what the board says; a command may come in pieces."""
        if not self.silent:
            self._held += data
            self.listen(self._held)
            del self._held[:-64]

    def say(self, frame: bytes, after_us: int = 0) -> None:
        """Say a frame, or what becomes of it."""
        if self.silent:
            return
        data, good = spoilt(frame, self.faults, self.checksum_at, self._luck)
        self.said += 1
        self.wrong += not good
        self.line.say(data, after_us)

    def every(self, period_us: int, act: Callable[[], None]) -> None:
        """Do something again and again until the next power-up."""
        power = self._powers

        def tick() -> None:
            if power == self._powers:
                act()
                self.line.clock.call_at(self.now_us() + period_us, tick)

        self.line.clock.call_at(self.now_us() + period_us, tick)

    def power_up(self) -> None:
        """Begin as a cold sensor does."""

    def listen(self, held: bytearray) -> None:
        """Obey the commands in `held`, and take them out of it."""
        raise NotImplementedError


def settled(since_us: int, now_us: int, takes_s: float) -> float:
    """By how much a value is wrong while a sensor settles: thrice as high at first, right after `takes_s`."""
    left = 1 - (now_us - since_us) / (takes_s * 1e6)
    return 1 + 2 * max(left, 0.0)
