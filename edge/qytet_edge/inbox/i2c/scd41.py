"""Sensirion SCD41: carbon dioxide (photoacoustic), temperature and humidity, every 5 s. (SCD4x data sheet 1.5.)"""

from qytet_edge.inbox.i2c.bus import Bus, Pause, Sample
from qytet_edge.inbox.i2c.sensirion import ask, tell

__all__ = ["ADDRESS", "Scd41"]

ADDRESS = 0x62

_START = 0x21B1  # 3.6.1 start_periodic_measurement
_READ = 0xEC05  # 3.6.2 read_measurement
_STOP = 0x3F86  # 3.6.3 stop_periodic_measurement
_READY = 0xE4B8  # 3.9.2 get_data_ready_status
_ALTITUDE = 0x2427  # 3.7.3 set_sensor_altitude
_SELF_CALIBRATION = 0x2416  # 3.8.2 set_automatic_self_calibration_enabled
_READY_BITS = 0x07FF
_STOP_S = 0.5  # 3.6.3: 500 ms before it takes another command
_FULL = 65535


class Scd41:
    """Driver; `altitude_m` corrects for the thinner air, `self_calibration` None leaves it as the chip has it."""

    keys: tuple[str, ...] = ("co2", "air_temperature", "relative_humidity")
    settle_s = 0.0

    def __init__(
        self,
        pause: Pause,
        address: int = ADDRESS,
        *,
        altitude_m: int | None = None,
        self_calibration: bool | None = None,
    ) -> None:
        self._pause = pause
        self._address = address
        self._altitude_m = altitude_m
        self._self_calibration = self_calibration

    def start(self, bus: Bus) -> None:
        """Stop what may run from an earlier life, set up, and measure from now on."""
        self.stop(bus)
        if self._altitude_m is not None:
            tell(bus, self._address, _ALTITUDE, self._altitude_m)
            self._pause(0.001)
        if self._self_calibration is not None:
            tell(bus, self._address, _SELF_CALIBRATION, int(self._self_calibration))
            self._pause(0.001)
        tell(bus, self._address, _START)
        self._pause(0.001)

    def sample(self, bus: Bus) -> Sample:
        """What it measured last, once; ppm, Cel and %."""
        if not ask(bus, self._address, _READY, 1, self._pause)[0] & _READY_BITS:
            return Sample({})
        co2, temperature, humidity = ask(bus, self._address, _READ, 3, self._pause)
        values: dict[str, float | None] = {
            "co2": float(co2),
            "air_temperature": -45 + 175 * temperature / _FULL,
            "relative_humidity": 100 * humidity / _FULL,
        }
        return Sample(values)

    def stop(self, bus: Bus) -> None:
        """Back to idle."""
        tell(bus, self._address, _STOP)
        self._pause(_STOP_S)

    def identify(self, bus: Bus) -> str:
        """The only question that it answers while it measures."""
        ask(bus, self._address, _READY, 1, self._pause)
        return ""
