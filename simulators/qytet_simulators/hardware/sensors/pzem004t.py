"""Peacefair PZEM-004T v3: meters on one line, Modbus RTU (user manual V3.0, 2.3 to 2.5)."""

from collections.abc import Mapping

from qytet_simulators.hardware.ports import UartLine
from qytet_simulators.hardware.sensors.serial import SerialSensor
from qytet_simulators.hardware.sensors.world import Truth
from qytet_simulators.instruments.modbus_unit import Fault, ModbusUnit, Register, checksum
from qytet_simulators.instruments.uart import Faults

__all__ = ["Pzem004t", "PzemMeter"]

GENERAL = 0xF8
_INPUT, _HOLDING = 4, 3
_LENGTH = 8
_ANSWERS_AFTER_US = 40_000
_TURNS_WH = 10_000_000
"""Its energy counter ends at 9999.99 kWh."""


class PzemMeter:
    """One module; `truth` has voltage (V), current (A), power (W), frequency (Hz) and factor.

    Its energy is the integral of the power, and survives power cuts.
    """

    def __init__(self, truth: Truth, address: int = 1, energy_wh: float = 0.0) -> None:
        self._truth = truth
        self.energy_wh = energy_wh
        self._line: UartLine | None = None
        self._at_us = 0
        self._watts = 0.0
        words: dict[int, Register] = {place: self._word(place) for place in range(10)}
        self.unit = ModbusUnit(address, {_INPUT: words, _HOLDING: {1: 23_000, 2: address}})

    def plugged(self, line: UartLine) -> None:
        """It has power; time in which it had none was not measured."""
        self._line = line
        self._at_us, self._watts = line.clock.now_us(), self._truth()["power"]

    def measure(self) -> None:
        """Count the energy up to now; called often enough, as a power that changes is drawn straight in between."""
        assert self._line is not None
        now, watts = self._line.clock.now_us(), self._truth()["power"]
        self.energy_wh += (watts + self._watts) / 2 * (now - self._at_us) / 3.6e9
        self._at_us, self._watts = now, watts

    def _word(self, place: int) -> Register:
        return lambda: self._words()[place]

    def _words(self) -> list[int]:
        truth: Mapping[str, float] = self._truth()
        milliamperes, tenths = round(truth["current"] * 1000), round(truth["power"] * 10)
        energy = int(self.energy_wh) % _TURNS_WH
        return [
            round(truth["voltage"] * 10),
            milliamperes & 0xFFFF,
            milliamperes >> 16,
            tenths & 0xFFFF,
            tenths >> 16,
            energy & 0xFFFF,
            energy >> 16,
            round(truth["frequency"] * 10),
            round(truth["factor"] * 100),
            0,
        ]


class Pzem004t(SerialSensor):
    """The modules of one line. Each has its own `unit.faults`; what the line does to frames is `faults`."""

    def __init__(self, meters: list[PzemMeter], *, faults: Faults | None = None, seed: object = 0) -> None:
        super().__init__(faults=faults, seed=seed)
        self.meters = meters

    def power_up(self) -> None:
        """All modules begin, and measure every half second."""
        for meter in self.meters:
            meter.plugged(self.line)
        self.every(500_000, self._measure)

    def listen(self, held: bytearray) -> None:
        """Questions of eight bytes with a right checksum; other bytes are passed over, as at a silence."""
        while len(held) >= _LENGTH:
            frame = bytes(held[:_LENGTH])
            if checksum(frame[:-2]) == frame[-2:]:
                del held[:_LENGTH]
                self._answer(frame)
            else:
                del held[0]

    def _measure(self) -> None:
        for meter in self.meters:
            meter.measure()

    def _answer(self, frame: bytes) -> None:
        for meter in self.meters:
            unit = meter.unit
            if frame[0] == unit.address or (frame[0] == GENERAL and len(self.meters) == 1):
                meter.measure()
                fault: Fault = unit.next_fault()
                if fault.silent:
                    continue
                body = bytes((frame[0],)) + unit.answer(frame[1:-2], fault)
                wrong = b"\xff" if fault.bad_checksum else b"\0"
                crc = checksum(body)
                self.say((body + bytes((crc[0] ^ wrong[0], crc[1])))[: fault.cut], _ANSWERS_AFTER_US)
