"""Sensirion SCD41: the commands of the model of `instruments`, in the board's time (data sheet 1.4, 3.5 and 3.6)."""

from qytet_simulators.hardware.ports import Clock
from qytet_simulators.instruments.i2c_chips import Scd41Model

__all__ = ["Scd41"]

_START, _STOP, _READY, _READ, _PRESSURE = 0x21B1, 0x3F86, 0xE4B8, 0xEC05, 0xE000
_PERIOD_US, _STOPS_US = 5_000_000, 500_000


class Scd41(Scd41Model):
    """`truth` has co2 (ppm), air_temperature (Cel) and relative_humidity (%), measured every five seconds.

    After a stop it refuses everything for half a second; a measurement is given out once.
    """

    _clock: Clock | None = None
    _began_us = _stopped_us = _given = 0
    pressure_hpa: int | None = None

    def plugged(self, clock: Clock) -> None:
        """It has power."""
        self._clock = clock
        self._stopped_us, self.pressure_hpa = -_STOPS_US, None

    def write(self, data: bytes) -> bool:
        """A command, unless it is still busy stopping."""
        return self._now() - self._stopped_us >= _STOPS_US and super().write(data)

    def read(self, count: int) -> bytes | None:
        """What the last command left to be read."""
        return None if self._now() - self._stopped_us < _STOPS_US else super().read(count)

    def obey(self, command: int, words: list[int]) -> bool:
        """Data sheet, table 9."""
        if command == _READY:
            return self.say(0x8006 if self._fresh() else 0x8000)
        if command == _READ:
            if not self._fresh():
                return True  # the command is taken; reading it is refused
            self._given = self._number()
            return self._measured()
        if command == _PRESSURE:
            self.pressure_hpa = words[0]
            return True
        if command == _STOP:
            self._stopped_us = self._now()
        elif command == _START and not self.measuring:
            self._began_us, self._given = self._now(), 0
        return super().obey(command, words)

    def _now(self) -> int:
        return 0 if self._clock is None else self._clock.now_us()

    def _number(self) -> int:
        return (self._now() - self._began_us) // _PERIOD_US

    def _fresh(self) -> bool:
        return self.measuring and self.ready and self._number() > self._given
