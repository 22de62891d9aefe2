"""The models of `instruments` on a simulated board: their frames on its wires, in its time."""

import random
from collections.abc import Callable, Mapping

from qytet_simulators.hardware.ports import UartLine
from qytet_simulators.hardware.spoil import spoilt
from qytet_simulators.instruments.uart import Faults, Told
from qytet_simulators.instruments.uart_models import Model

__all__ = ["FrameSensor"]


class FrameSensor:
    """A serial sensor of `instruments.uart_models`: speaks every `period_s`, or when the model answers a question.

    `faults` and `told` are as those of `instruments.uart.SerialLine`; `silent` is a broken wire.
    """

    def __init__(
        self,
        model: Callable[[], Model],
        values: Callable[[], Mapping[str, float]],
        *,
        period_s: float | None = 1.0,
        faults: Faults | None = None,
        seed: object = 0,
        baudrate: int = 9600,
    ) -> None:
        self._make, self._values, self._period_s = model, values, period_s
        self.model = model()
        self.faults = faults or Faults()
        self.told = Told()
        self.silent = False
        self.baudrate = baudrate
        self._luck = random.Random(str(seed))
        self._line: UartLine | None = None
        self._powers = 0

    def plugged(self, line: UartLine) -> None:
        """It wakes as new."""
        self._line, self.model = line, self._make()
        self._powers += 1
        if self._period_s is not None:
            self._again(self._powers)

    def heard(self, data: bytes) -> None:
        """A command; it answers 5 ms later."""
        self.told.commands.append(data)
        for _ in range(0 if self.silent else self.model.heard(data)):
            self._speak(5_000)

    def _again(self, power: int) -> None:
        line = self._line
        assert line is not None
        assert self._period_s is not None

        def tick() -> None:
            if power == self._powers:
                if self.model.awake and not self.silent:
                    self._speak(0)
                self._again(power)

        line.clock.call_at(line.clock.now_us() + int(self._period_s * 1e6), tick)

    def _speak(self, after_us: int) -> None:
        assert self._line is not None
        values = dict(self._values())
        data, good = spoilt(self.model.frame(values), self.faults, self.model.checksum_at, self._luck)
        if good:
            self.told.good.append(values)
        else:
            self.told.spoilt += 1
        self._line.say(data, after_us)
