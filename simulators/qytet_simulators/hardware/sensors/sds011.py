"""Nova SDS011: reporting and query mode, sleep, by commands with answers (control protocol V1.3)."""

from qytet_simulators.hardware.sensors.serial import SerialSensor, settled
from qytet_simulators.hardware.sensors.world import Truth
from qytet_simulators.instruments import uart_models
from qytet_simulators.instruments.uart import Faults

__all__ = ["Sds011"]

_COMMAND = 19
_MODE, _QUERY, _SLEEP = 2, 4, 6
_SETTLES_S = 30
_ANSWERS_AFTER_US = 10_000


class Sds011(SerialSensor):
    """`truth` has pm2_5 and pm10 in ug/m3; asleep it only hears that it is to wake. Too high in its first 30 s."""

    checksum_at = 8

    def __init__(self, truth: Truth, *, faults: Faults | None = None, seed: object = 0) -> None:
        super().__init__(faults=faults, seed=seed)
        self._truth = truth
        self._model = uart_models.Sds011()
        self.worked_us = 0
        """How long the laser was on: it lives 8000 hours."""

    def power_up(self) -> None:
        """Awake, and it reports every second."""
        self.awake, self.reports = True, True
        self._woken_at = self.now_us()
        self.every(1_000_000, self._tick)

    def listen(self, held: bytearray) -> None:
        """Commands of 19 bytes; one with a wrong checksum is passed over."""
        while len(held) >= _COMMAND:
            one = bytes(held[:_COMMAND])
            if one[:2] == b"\xaa\xb4" and one[18] == 0xAB and sum(one[2:17]) & 0xFF == one[17]:
                del held[:_COMMAND]
                self._obey(one[2], one[3], one[4])
            else:
                del held[0]

    def _obey(self, action: int, write: int, value: int) -> None:
        if action == _SLEEP:
            if write and bool(value) != self.awake:
                self.awake, self._woken_at = bool(value), self.now_us()
            self._confirm(action, write, int(self.awake))
        elif self.awake and action == _MODE:
            if write:
                self.reports = not value
            self._confirm(action, write, int(not self.reports))
        elif self.awake and action == _QUERY:
            self._speak()

    def _confirm(self, action: int, write: int, value: int) -> None:
        data = bytes((action, write, value, 0)) + b"\xa1\x60"
        self.say(b"\xaa\xc5" + data + bytes((sum(data) & 0xFF, 0xAB)), _ANSWERS_AFTER_US)

    def _tick(self) -> None:
        if self.awake:
            self.worked_us += 1_000_000
            if self.reports:
                self._speak()

    def _speak(self) -> None:
        wrong = settled(self._woken_at, self.now_us(), _SETTLES_S)
        self.say(
            self._model.frame({key: value * wrong for key, value in self._truth().items()}), _ANSWERS_AFTER_US
        )
