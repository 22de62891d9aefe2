"""Bosch BME688: forced mode with one heater step (BST-BME688-DS000: 3.3, 3.4, 5.2, 5.3).

Its raw values are found by searching the floating-point formulas of section 3 backwards; the driver has those in
integers.
"""

import struct

from qytet_simulators.hardware.ports import Clock
from qytet_simulators.hardware.sensors.registers import RegisterChip
from qytet_simulators.hardware.sensors.world import Truth
from qytet_simulators.instruments.i2c_chips import search

__all__ = ["Bme688"]

_CTRL_GAS_0, _CTRL_GAS_1, _CTRL_HUM, _CTRL_MEAS = 0x70, 0x71, 0x72, 0x74
_RES_HEAT, _GAS_WAIT, _FIELD, _RESET = 0x5A, 0x64, 0x1D, 0xE0
_RUN_GAS, _HEAT_OFF = 0x20, 0x08
_MEASURE_US = 6_500
_SKIPPED, _SKIPPED_HUM = 0x80000, 0x8000
_HOT_C = (200, 400)
"""What the heater can reach and the gas sensor needs (3.3.4)."""


class Bme688(RegisterChip):
    """`truth` has air_temperature (Cel), relative_humidity (%), air_pressure (hPa) and gas_resistance (Ohm)."""

    T = (26_203, 26_511, 3)
    P = (36_577, -10_360, 88, 7_052, -117, 30, 50, -2_580, -3_480, 30)
    H = (785, 1_010, 0, 45, 20, 120, -100)
    G = (-28, -12_490, 18)
    HEAT_RANGE, HEAT_VALUE = 1, 42

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        super().__init__()

    def plugged(self, clock: Clock) -> None:
        """It has power."""
        super().plugged(clock)
        self._ready_us: int | None = None

    def power_cycle(self) -> None:
        """Sleep; the trimming is burnt in."""
        super().power_cycle()
        self._ready_us = None
        registers = self.registers
        registers[0xD0], registers[0xF0] = 0x61, 0x01
        registers[0xE9:0xEB], registers[0x8A:0x8D] = (
            struct.pack("<H", self.T[0]),
            struct.pack("<hb", *self.T[1:]),
        )
        p1, p2, p3, p4, p5, p6, p7, p8, p9, p10 = self.P
        registers[0x8E:0x93] = struct.pack("<Hhb", p1, p2, p3)
        registers[0x94:0x9A] = struct.pack("<hhbb", p4, p5, p7, p6)
        registers[0x9C:0xA1] = struct.pack("<hhB", p8, p9, p10)
        h1, h2, *rest = self.H
        registers[0xE1:0xE4] = bytes((h2 >> 4, (h2 & 15) << 4 | h1 & 15, h1 >> 4))
        registers[0xE4:0xE9] = struct.pack("<bbbBb", *rest)
        gh1, gh2, gh3 = self.G
        registers[0xEB:0xEF] = struct.pack("<hbb", gh2, gh1, gh3)
        registers[0x00], registers[0x02] = self.HEAT_VALUE, self.HEAT_RANGE << 4

    def wrote(self, register: int, value: int) -> None:
        """A setting, or the order to measure."""
        if register == _RESET:
            self.power_cycle()
        elif register == _CTRL_MEAS and value & 3 == 1:
            self.registers[register] = value
            heats = self._heats()
            self.registers[_FIELD] = 0x40 | 0x20 if heats else 0x20
            self._ready_us = self.now_us() + _MEASURE_US + (self.heater_ms() * 1000 if heats else 0)
        else:
            super().wrote(register, value)

    def refresh(self) -> None:
        """A measurement that has ended is in field 0."""
        if self._ready_us is not None and self.now_us() >= self._ready_us:
            self._ready_us = None
            self._measure()

    def heater_ms(self) -> int:
        """How long it is told to heat (3.3.5)."""
        code = self.registers[_GAS_WAIT]
        return int((code & 63) << 2 * (code >> 6))

    def heater_c(self, ambient_c: float) -> float:
        """How hot it is told to be: the inverse of the formula in 3.3.5."""
        gh1, gh2, gh3 = self.G[0] / 16 + 49, self.G[1] / 32768 * 0.0005 + 0.00235, self.G[2] / 1024
        ratio = self.registers[_RES_HEAT] / 3.4 + 25
        warmth = ratio * (4 + self.HEAT_RANGE) / 4 * (1 + self.HEAT_VALUE * 0.002) - gh3 * ambient_c
        return (warmth / gh1 - 1) / gh2

    def _heats(self) -> bool:
        return bool(self.registers[_CTRL_GAS_1] & _RUN_GAS and not self.registers[_CTRL_GAS_0] & _HEAT_OFF)

    def _measure(self) -> None:
        truth = self._truth()
        raw_t = search(lambda raw: self.fine(raw) / 5120, truth["air_temperature"], 0, 1 << 20)
        fine = self.fine(raw_t)
        raw_p = search(lambda raw: -self.pascal(fine, raw), -truth["air_pressure"] * 100, 1, 1 << 20)
        raw_h = search(lambda raw: self.percent(fine, raw), truth["relative_humidity"], 0, 1 << 16)
        control = self.registers[_CTRL_MEAS]
        pressure = raw_p if control >> 2 & 7 else _SKIPPED
        temperature = raw_t if control >> 5 else _SKIPPED
        humidity = raw_h if self.registers[_CTRL_HUM] & 7 else _SKIPPED_HUM
        field = (pressure << 4).to_bytes(3, "big") + (temperature << 4).to_bytes(3, "big")
        self.registers[_FIELD + 2 : _FIELD + 10] = field + humidity.to_bytes(2, "big")
        self.registers[_FIELD + 15 : _FIELD + 17] = self._gas(
            truth["gas_resistance"], truth["air_temperature"]
        )
        self.registers[_FIELD] = 0x80

    def _gas(self, ohm: float, ambient_c: float) -> bytes:
        """Its resistance, that it is valid, and whether the heater was hot."""
        if not self._heats():
            return b"\0\0"
        hot = _HOT_C[0] <= self.heater_c(ambient_c) <= _HOT_C[1] and self.heater_ms() >= 20
        for span in range(15, -1, -1):
            raw = 512 + ((1_000_000 * (262_144 >> span)) / ohm - 4096) / 3
            if 0 <= round(raw) <= 1023:
                break
        whole = min(max(round(raw), 0), 1023)
        return bytes((whole >> 2, (whole & 3) << 6 | 0x20 | (0x10 if hot else 0) | span))

    def fine(self, raw: int) -> float:
        """t_fine."""
        t1, t2, t3 = self.T
        return (raw / 16384 - t1 / 1024) * t2 + (raw / 131072 - t1 / 8192) ** 2 * t3 * 16

    def pascal(self, fine: float, raw: int) -> float:
        """Pa."""
        p1, p2, p3, p4, p5, p6, p7, p8, p9, p10 = self.P
        a = fine / 2 - 64000
        b = (a * a * p6 / 131072 + a * p5 * 2) / 4 + p4 * 65536
        a = (p3 * a * a / 16384 + p2 * a) / 524288
        p = (1048576 - raw - b / 4096) * 6250 / ((1 + a / 32768) * p1)
        return p + (p9 * p * p / 2147483648 + p * p8 / 32768 + (p / 256) ** 3 * p10 / 131072 + p7 * 128) / 16

    def percent(self, fine: float, raw: int) -> float:
        """%."""
        h1, h2, h3, h4, h5, h6, h7 = self.H
        celsius = fine / 5120
        a = raw - (h1 * 16 + h3 / 2 * celsius)
        b = a * h2 / 262144 * (1 + h4 / 16384 * celsius + h5 / 1048576 * celsius * celsius)
        return b + (h6 / 16384 + h7 / 2097152 * celsius) * b * b
