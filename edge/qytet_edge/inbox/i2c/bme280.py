"""Bosch BME280: temperature, humidity and pressure. (BST-BME280-DS002, revision 1.6.)

It measures once when asked (forced mode, no oversampling), which heats it least: "weather monitoring", 3.5.1.
"""

import struct
from typing import NamedTuple

from qytet_edge.inbox.i2c.bus import Bus, Pause, Sample

__all__ = ["ADDRESS", "OTHER_ADDRESS", "Bme280", "Trim", "compensated"]

ADDRESS = 0x76
OTHER_ADDRESS = 0x77

_ID = 0xD0
_BME280 = 0x60
_OTHERS = {0x58: "a BMP280, which has no humidity", 0x61: "a BME680 or BME688"}
_RESET, _RESET_WORD = 0xE0, 0xB6
_CTRL_HUM, _STATUS, _CTRL_MEAS, _CONFIG, _DATA = 0xF2, 0xF3, 0xF4, 0xF5, 0xF7
_TRIM, _TRIM_HUM = 0x88, 0xE1
_ONCE = 0b001_001_01  # temperature x1, pressure x1, forced mode
_MEASURING, _COPYING = 0x08, 0x01
_MEASURE_S = 0.0093  # 9.1: longest at x1
_LOOKS = 20
_SKIPPED, _SKIPPED_HUM = 0x80000, 0x8000  # 5.4.7: not measured


class Trim(NamedTuple):
    """The chip's own coefficients, dig_T1 … dig_H6 (4.2.2, table 16)."""

    t: tuple[int, ...]
    p: tuple[int, ...]
    h: tuple[int, ...]

    @classmethod
    def parse(cls, low: bytes, high: bytes) -> "Trim":
        """From registers 0x88 to 0xA1 and 0xE1 to 0xE7."""
        words = struct.unpack("<HhhHhhhhhhhh", low[:24])
        h4 = struct.unpack("b", high[3:4])[0] << 4 | high[4] & 0x0F
        h5 = struct.unpack("b", high[5:6])[0] << 4 | high[4] >> 4
        h2, h3, h6 = struct.unpack_from("<hB", high) + struct.unpack_from("b", high, 6)
        return cls(words[:3], words[3:], (low[25], h2, h3, h4, h5, h6))


def compensated(trim: Trim, raw_t: int, raw_p: int, raw_h: int) -> tuple[float, float, float]:
    """Cel, hPa and % of raw values (4.2.3, in floating point as in 8.1). Raises ZeroDivisionError without trim."""
    t1, t2, t3 = trim.t
    x = raw_t / 16384 - t1 / 1024
    fine = x * t2 + (x / 8) ** 2 * t3
    return fine / 5120, _pressure(trim.p, fine, raw_p) / 100, _humidity(trim.h, fine, raw_h)


def _pressure(p: tuple[int, ...], fine: float, raw: int) -> float:
    """Pa."""
    a = fine / 2 - 64000
    b = (a * a * p[5] / 32768 + a * p[4] * 2) / 4 + p[3] * 65536
    scale = (1 + (p[2] * a * a / 524288 + p[1] * a) / 524288 / 32768) * p[0]
    pascal = (1048576 - raw - b / 4096) * 6250 / scale
    return pascal + (p[8] * pascal * pascal / 2147483648 + pascal * p[7] / 32768 + p[6]) / 16


def _humidity(h: tuple[int, ...], fine: float, raw: int) -> float:
    h1, h2, h3, h4, h5, h6 = h
    x = fine - 76800
    slope = h2 / 65536 * (1 + h6 / 67108864 * x * (1 + h3 / 67108864 * x))
    y = (raw - (h4 * 64 + h5 / 16384 * x)) * slope
    return min(100.0, max(0.0, y * (1 - h1 * y / 524288)))


class Bme280:
    """Driver."""

    keys: tuple[str, ...] = ("air_temperature", "relative_humidity", "air_pressure")
    settle_s = 0.0

    def __init__(self, pause: Pause, address: int = ADDRESS) -> None:
        self._pause = pause
        self._address = address
        self._trim: Trim | None = None

    def start(self, bus: Bus) -> None:
        """Check the chip, reset it, and read its trim. Raises OSError if it is another chip."""
        if found := self.identify(bus):
            raise OSError(f"at 0x{self._address:02x} answers {found}, no BME280")
        bus.write(self._address, bytes([_RESET, _RESET_WORD]))
        self._pause(0.002)
        self._wait(bus, _COPYING)
        self._trim = Trim.parse(self._read(bus, _TRIM, 26), self._read(bus, _TRIM_HUM, 7))
        if self._trim.t[0] in {0, 0xFFFF} or self._trim.p[0] in {0, 0xFFFF}:
            self._trim = None
            raise OSError(f"the BME280 at 0x{self._address:02x} has no coefficients")
        bus.write(self._address, bytes([_CONFIG, 0, _CTRL_HUM, 1]))

    def sample(self, bus: Bus) -> Sample:
        """Measure once; Cel, % and hPa."""
        if self._trim is None:
            raise OSError("the BME280 was not started")
        bus.write(self._address, bytes([_CTRL_MEAS, _ONCE]))
        self._pause(_MEASURE_S)
        self._wait(bus, _MEASURING)
        data = self._read(bus, _DATA, 8)
        raw_p, raw_t = int.from_bytes(data[:3], "big") >> 4, int.from_bytes(data[3:6], "big") >> 4
        raw_h = int.from_bytes(data[6:8], "big")
        if raw_t == _SKIPPED or raw_p == _SKIPPED or raw_h == _SKIPPED_HUM:
            # It was without supply; the next start sets it up again.
            raise OSError("the BME280 lost its settings")
        temperature, pressure, humidity = compensated(self._trim, raw_t, raw_p, raw_h)
        return Sample(
            {"air_temperature": temperature, "relative_humidity": humidity, "air_pressure": pressure}
        )

    def stop(self, bus: Bus) -> None:
        """It sleeps by itself after each measurement."""

    def identify(self, bus: Bus) -> str:
        """By its chip id."""
        found = self._read(bus, _ID, 1)[0]
        return "" if found == _BME280 else _OTHERS.get(found, f"a chip with the id 0x{found:02x}")

    def _wait(self, bus: Bus, busy: int) -> None:
        for _ in range(_LOOKS):
            if not self._read(bus, _STATUS, 1)[0] & busy:
                return
            self._pause(0.001)
        raise OSError("the BME280 stays busy")

    def _read(self, bus: Bus, register: int, count: int) -> bytes:
        return bus.exchange(self._address, bytes([register]), count)
