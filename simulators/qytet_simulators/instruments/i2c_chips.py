"""Chips on I2C at register level, made to measure what a test says; written from the makers' data sheets."""

import struct
from collections.abc import Callable, Mapping

__all__ = ["Ads1115Model", "Bme280Model", "Scd41Model", "Sps30Model", "search"]

Truth = Callable[[], Mapping[str, float]]
"""What there is to measure at this moment."""


class Bme280Model:
    """Bosch BME280. Its raw values are found by searching the integer formulas of the data sheet (4.2.3) backwards."""

    T = (27504, 26435, -1000)
    P = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
    H = (75, 361, 0, 333, 50, 30)

    def __init__(self, truth: Truth, chip_id: int = 0x60) -> None:
        self._truth = truth
        self._registers = bytearray(256)
        self._at = 0
        self._registers[0xD0] = chip_id
        self._power_up()

    def write(self, data: bytes) -> bool:
        """The register, or pairs of register and value."""
        self._at = data[0]
        for register, value in zip(data[::2], data[1::2], strict=False):
            self._set(register, value)
        return True

    def read(self, count: int) -> bytes:
        """From the register that was written last."""
        return bytes(self._registers[self._at : self._at + count])

    def power_cycle(self) -> None:
        """Lose all settings."""
        self._power_up()

    def _power_up(self) -> None:
        self._registers[0xF2:0xF6] = bytes(4)
        self._registers[0xF7:0xFF] = b"\x80\0\0\x80\0\0\x80\0"
        self._registers[0x88:0xA0] = struct.pack("<Hhh", *self.T) + struct.pack("<H8h", *self.P)
        h1, h2, h3, h4, h5, h6 = self.H
        self._registers[0xA1] = h1
        mixed = bytes([h4 >> 4 & 0xFF, h4 & 0x0F | (h5 & 0x0F) << 4, h5 >> 4 & 0xFF])
        self._registers[0xE1:0xE8] = struct.pack("<hB", h2, h3) + mixed + struct.pack("b", h6)

    def _set(self, register: int, value: int) -> None:
        if register == 0xE0 and value == 0xB6:
            self._power_up()
        elif register == 0xF4:
            if value & 0b11 == 0b01:
                self._measure(value)
        elif 0xF2 <= register <= 0xF5:
            self._registers[register] = value

    def _measure(self, control: int) -> None:
        truth = self._truth()
        raw_t = search(self.celsius, truth["air_temperature"] * 100, 0, 1 << 20)
        fine = self._fine(raw_t)
        raw_p = search(lambda raw: -self.pascal(fine, raw), -truth["air_pressure"] * 100, 1, 1 << 20)
        raw_h = search(lambda raw: self.percent(fine, raw), truth["relative_humidity"] * 1024, 0, 1 << 16)
        on = self._registers[0xF2] & 0b111
        self._registers[0xF7:0xFF] = (
            (raw_p << 4 if control >> 2 & 0b111 else 0x800000).to_bytes(3, "big")
            + (raw_t << 4 if control >> 5 else 0x800000).to_bytes(3, "big")
            + (raw_h if on else 0x8000).to_bytes(2, "big")
        )

    def _fine(self, raw: int) -> int:
        t1, t2, t3 = self.T
        a = ((raw >> 3) - (t1 << 1)) * t2 >> 11
        b = (((raw >> 4) - t1) * ((raw >> 4) - t1) >> 12) * t3 >> 14
        return a + b

    def celsius(self, raw: int) -> int:
        """Hundredths of a degree."""
        return self._fine(raw) * 5 + 128 >> 8

    def pascal(self, fine: int, raw: int) -> float:
        """Pa."""
        p1, p2, p3, p4, p5, p6, p7, p8, p9 = self.P
        a = fine - 128000
        b = a * a * p6 + (a * p5 << 17) + (p4 << 35)
        a = (a * a * p3 >> 8) + (a * p2 << 12)
        a = ((1 << 47) + a) * p1 >> 33
        p = ((1048576 - raw << 31) - b) * 3125 // a
        c = p9 * (p >> 13) * (p >> 13) >> 25
        return ((p + c + (p8 * p >> 19) >> 8) + (p7 << 4)) / 256

    def percent(self, fine: int, raw: int) -> int:
        """1024ths of a percent."""
        h1, h2, h3, h4, h5, h6 = self.H
        v = fine - 76800
        grown = ((v * h6 >> 10) * ((v * h3 >> 11) + 32768) >> 10) + 2097152
        v = ((raw << 14) - (h4 << 20) - h5 * v + 16384 >> 15) * (grown * h2 + 8192 >> 14)
        v -= ((v >> 15) * (v >> 15) >> 7) * h1 >> 4
        return min(max(v, 0), 419430400) >> 12


class _Sensirion:
    """Commands of two bytes, words with a CRC-8; what a command leaves to be read is given out once."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._answer: bytes | None = None
        self.measuring = False
        self.commands: list[int] = []

    def write(self, data: bytes) -> bool:
        command = int.from_bytes(data[:2], "big")
        words = []
        for at in range(2, len(data), 3):
            if data[at + 2 : at + 3] != _crc(data[at : at + 2]):
                return False
            words.append(int.from_bytes(data[at : at + 2], "big"))
        self.commands.append(command)
        return self.obey(command, words)

    def read(self, count: int) -> bytes | None:
        answer, self._answer = self._answer, None
        return None if answer is None else answer[:count].ljust(count, b"\xff")

    def power_cycle(self) -> None:
        """Idle, as after power up."""
        self.measuring, self._answer = False, None

    def obey(self, command: int, words: list[int]) -> bool:
        raise NotImplementedError

    def say(self, *words: int) -> bool:
        raw = [word.to_bytes(2, "big") for word in words]
        self._answer = b"".join(word + _crc(word) for word in raw)
        return True


class Scd41Model(_Sensirion):
    """Sensirion SCD41; refuses while it measures what it may not do then."""

    altitude = 0
    self_calibration: int | None = None
    ready = True

    def obey(self, command: int, words: list[int]) -> bool:
        """Data sheet, table 9."""
        if command == 0x3F86:
            self.measuring = False
        elif command == 0xE4B8:
            return self.say(0x8006 if self.measuring and self.ready else 0x8000)
        elif command == 0xEC05:
            return self.measuring and self._measured()
        elif self.measuring:
            return False
        elif command == 0x2427:
            self.altitude = words[0]
        elif command == 0x2416:
            self.self_calibration = words[0]
        elif command == 0x21B1:
            self.measuring = True
        else:
            return False
        return True

    def _measured(self) -> bool:
        truth = self._truth()
        return self.say(
            round(truth["co2"]),
            round((truth["air_temperature"] + 45) / 175 * 65535),
            round(truth["relative_humidity"] / 100 * 65535),
        )


class Sps30Model(_Sensirion):
    """Sensirion SPS30."""

    cleaned = 0
    ready = True

    def obey(self, command: int, words: list[int]) -> bool:
        """Data sheet, 6.3."""
        if command == 0x0104:
            self.measuring = False
        elif command == 0xD100:
            return self.say(0x0202)
        elif command == 0x0010:
            if self.measuring or words != [0x0300]:
                return False
            self.measuring = True
        elif command == 0x0202:
            return self.say(int(self.measuring and self.ready))
        elif command == 0x0300:
            return self.measuring and self._measured()
        elif command == 0x5607 and self.measuring:
            self.cleaned += 1
        else:
            return False
        return True

    def _measured(self) -> bool:
        truth = self._truth()
        mass = [truth[key] for key in ("pm1", "pm2_5", "pm4", "pm10")]
        number = truth["particle_number_concentration_pm0_5"]
        raw = struct.pack(">10f", *mass, number, *(number * 1.1**n for n in range(1, 5)), 0.6)
        return self.say(*struct.unpack(">20H", raw))


class Ads1115Model:
    """Texas Instruments ADS1115; `volts0` to `volts3` of the truth are on its inputs."""

    _RANGES = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)
    _PAIRS = ((0, 1), (0, 3), (1, 3), (2, 3))
    """Inputs whose difference is measured (SBAS444E, 9.6.3: MUX)."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._at = 0
        self.power_cycle()

    def power_cycle(self) -> None:
        """Lose all settings."""
        self._registers = [0, 0x8583, 0x8000, 0x7FFF]

    def write(self, data: bytes) -> bool:
        """The register, and perhaps its new value."""
        self._at = data[0] & 0b11
        if len(data) == 3:
            value = int.from_bytes(data[1:], "big")
            self._registers[self._at] = value
            if self._at == 1 and value & 0x8000:
                self._convert(value)
        return True

    def read(self, count: int) -> bytes:
        """The register that was written last."""
        return self._registers[self._at].to_bytes(2, "big")[:count].ljust(count, b"\xff")

    def _convert(self, config: int) -> None:
        truth, mux = self._truth(), config >> 12 & 0b111
        if mux >= 4:
            volts = truth[f"volts{mux - 4}"]
        else:
            high, low = self._PAIRS[mux]
            volts = truth[f"volts{high}"] - truth[f"volts{low}"]
        raw = round(volts / self._RANGES[config >> 9 & 0b111] * 32768)
        self._registers[0] = min(max(raw, -32768), 32767) & 0xFFFF


def search(rising: Callable[[int], float], wanted: float, low: int, high: int) -> int:
    """The first whole number from `low` on whose value is not below `wanted`."""
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if rising(middle) < wanted else (low, middle)
    return low


def _crc(word: bytes) -> bytes:
    """CRC-8 by long division of x^16 times the word, for a check that shares nothing with the driver's."""
    number = (int.from_bytes(word, "big") ^ 0xFF00) << 8
    for bit in range(23, 7, -1):
        if number >> bit & 1:
            number ^= 0x131 << bit - 8
    return bytes([number])
