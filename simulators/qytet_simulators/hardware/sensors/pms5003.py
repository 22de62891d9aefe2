"""Plantower PMS5003: active and passive mode, sleep (data manual V2.3, appendices I and II)."""

from qytet_simulators.hardware.sensors.serial import SerialSensor, settled
from qytet_simulators.hardware.sensors.world import Truth
from qytet_simulators.instruments import uart_models
from qytet_simulators.instruments.uart import Faults

__all__ = ["Pms5003"]

_COMMAND = 7
_MODE, _READ, _SLEEP = 0xE1, 0xE2, 0xE4
_PERIOD_US = 2_300_000  # stable mode
_FAN_US = 2_000_000
_SETTLES_S = 30


class Pms5003(SerialSensor):
    """`truth` has pm1, pm2_5 and pm10 in ug/m3, of which it says whole numbers; too high in its first 30 s."""

    checksum_at = 31

    def __init__(self, truth: Truth, *, faults: Faults | None = None, seed: object = 0) -> None:
        super().__init__(faults=faults, seed=seed)
        self._truth = truth
        self._model = uart_models.Pms5003()

    def power_up(self) -> None:
        """Awake and active."""
        self.awake, self.active = True, True
        self._woken_at = self.now_us()
        self.every(_PERIOD_US, self._tick)

    def listen(self, held: bytearray) -> None:
        """Commands of seven bytes."""
        while len(held) >= _COMMAND:
            command = bytes(held[:_COMMAND])
            if command[:2] == b"BM" and sum(command[:5]) == int.from_bytes(command[5:], "big"):
                del held[:_COMMAND]
                self._obey(command[2], command[4])
            else:
                del held[0]

    def _obey(self, command: int, value: int) -> None:
        if command == _SLEEP:
            if value and not self.awake:
                self._woken_at = self.now_us()
            self.awake = bool(value)
            if not self.awake:
                self._confirm(command, value)
        elif self.awake and command == _MODE:
            self.active = bool(value)
            self._confirm(command, value)
        elif self.awake and command == _READ and not self.active:
            self._speak()

    def _confirm(self, command: int, value: int) -> None:
        body = b"BM\x00\x04" + bytes((command, value))
        self.line.say(body + sum(body).to_bytes(2, "big"), 2_000)

    def _tick(self) -> None:
        if self.awake and self.active:
            self._speak()

    def _speak(self) -> None:
        now = self.now_us()
        if now - self._woken_at < _FAN_US:
            return
        wrong = settled(self._woken_at, now, _SETTLES_S)
        self.say(
            self._model.frame({key: round(value * wrong) for key, value in self._truth().items()}), 5_000
        )
