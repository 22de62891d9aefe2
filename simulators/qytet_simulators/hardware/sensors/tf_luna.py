"""Benewake TF-Luna: distance by light, a hundred frames a second (product manual SJ-PM-TF-Luna A05, section 6)."""

from qytet_simulators.hardware.sensors.serial import SerialSensor
from qytet_simulators.hardware.sensors.world import Truth
from qytet_simulators.instruments.uart import Faults

__all__ = ["TfLuna"]

_PERIOD_US = 10_000
_FAR_M = 8.0


class TfLuna(SerialSensor):
    """`truth` has `distance` in m, of which it says whole cm; beyond 8 m too little light comes back."""

    baudrate = 115200
    checksum_at = 8

    def __init__(self, truth: Truth, *, faults: Faults | None = None, seed: object = 0) -> None:
        super().__init__(faults=faults, seed=seed)
        self._truth = truth
        self.strength = 1200
        """What comes back of the light; below 100 a distance means nothing."""

    def power_up(self) -> None:
        """It speaks from now on."""
        self.every(_PERIOD_US, self._speak)

    def listen(self, held: bytearray) -> None:
        """No command is needed."""
        held.clear()

    def _speak(self) -> None:
        metres = self._truth()["distance"]
        strength = self.strength if metres <= _FAR_M else 60
        words = (round(metres * 100), strength, (25 + 256) * 8)
        body = b"\x59\x59" + b"".join(word.to_bytes(2, "little") for word in words)
        self.say(body + bytes((sum(body) & 0xFF,)))
