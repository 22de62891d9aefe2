"""JSN-SR04T and A02YYUW: distance by ultrasound as a frame of four bytes (JSN-SR04T-2.0 manual, modes by R27)."""

from qytet_simulators.hardware.sensors.serial import SerialSensor
from qytet_simulators.hardware.sensors.world import Truth
from qytet_simulators.instruments.uart import Faults

__all__ = ["JsnSr04t"]

_BLIND_M, _FAR_M = 0.25, 4.5
_ASSUMED = 340.0  # m/s
_PERIOD_US = 100_000


class JsnSr04t(SerialSensor):
    """`truth` has `distance` in m and perhaps the air's `air_temperature` in Cel (15 if not): sound depends on it.

    `asked`: it answers 0x55 (120 k); else it speaks ten times a second (47 k). Nearer than 25 cm it hears itself, and
    without an echo it says 0. `stray`: the share of pings that hear an echo from something nearer.
    """

    checksum_at = 3

    def __init__(
        self,
        truth: Truth,
        *,
        asked: bool = True,
        stray: float = 0.0,
        faults: Faults | None = None,
        seed: object = 0,
    ) -> None:
        super().__init__(faults=faults, seed=seed)
        self._truth, self._asked, self.stray = truth, asked, stray

    def power_up(self) -> None:
        """It needs nothing."""
        if not self._asked:
            self.every(_PERIOD_US, self._ping)

    def listen(self, held: bytearray) -> None:
        """One measurement for each 0x55."""
        for byte in held:
            if byte == 0x55 and self._asked:
                self._ping()
        held.clear()

    def _ping(self) -> None:
        truth = self._truth()
        metres = truth["distance"]
        if self.stray and self._luck.random() < self.stray:
            metres *= self._luck.uniform(0.3, 0.7)
        sound = 331.3 + 0.606 * truth.get("air_temperature", 15.0)
        told = 0 if metres > _FAR_M else max(round(metres * _ASSUMED / sound * 1000), round(_BLIND_M * 1000))
        body = b"\xff" + told.to_bytes(2, "big")
        self.say(body + bytes((sum(body) & 0xFF,)), 8_000 + int(2e6 * min(metres, _FAR_M) / sound))
