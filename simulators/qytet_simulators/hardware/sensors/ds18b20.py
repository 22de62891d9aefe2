"""Maxim DS18B20: temperature over 1-Wire (data sheet 19-7487 rev. 6: figures 7 to 9, table 2)."""

import random

from qytet_simulators.hardware.ports import Clock
from qytet_simulators.hardware.sensors.world import Truth

__all__ = ["Ds18b20", "crc8"]

_CONVERT, _READ, _WRITE, _COPY, _RECALL, _POWER = 0x44, 0xBE, 0x4E, 0x48, 0xB8, 0xB4
_CONVERT_US = 750_000
"""At 12 bits; each bit less halves it."""
_POWER_UP = 0x0550


class Ds18b20:
    """`truth` has `temperature` in Cel. Until a conversion has ended its register says 85 Cel after power-up."""

    def __init__(self, truth: Truth, serial: int = 1) -> None:
        self._truth = truth
        head = b"\x28" + random.Random(serial).randbytes(6)
        self.rom = head + bytes((crc8(head),))
        self.spoilt = 0
        """In how many of the next scratchpads one bit is wrong."""
        self._clock: Clock | None = None
        self._stored = b"\x4b\x46\x7f"
        self.power_cycle()

    def plugged(self, clock: Clock) -> None:
        """It has power."""
        self._clock = clock

    def power_cycle(self) -> None:
        """The scratchpad begins anew; alarms and resolution come from its EEPROM."""
        self._sixteenths = _POWER_UP
        self._settings = bytearray(self._stored)
        self._ready_us: int | None = None
        self.reset()

    def reset(self) -> bool:
        """It answers, and waits for a command."""
        self._heard = bytearray()
        self._answer = b""
        return True

    def write(self, byte: int) -> None:
        """A command, or the bytes that belong to it."""
        self._heard.append(byte)
        command = self._heard[0]
        if len(self._heard) == 1:
            self._obey(command)
        elif command == _WRITE and len(self._heard) <= 4:
            self._settings[len(self._heard) - 2] = byte

    def read(self) -> int:
        """What the command left to be read; zeros while it converts."""
        self._settle()
        if self._heard[:1] == bytes((_CONVERT,)):
            return 0 if self._ready_us is not None else 0xFF
        if not self._answer:
            return 0xFF
        byte, self._answer = self._answer[0], self._answer[1:]
        return byte

    def _obey(self, command: int) -> None:
        self._settle()
        if command == _CONVERT:
            bits = self._settings[2] >> 5 & 3
            self._ready_us = self._now() + (_CONVERT_US >> 3 - bits)
        elif command == _READ:
            self._answer = self._scratchpad()
        elif command == _COPY:
            self._stored = bytes(self._settings)
        elif command == _RECALL:
            self._settings = bytearray(self._stored)
        elif command == _POWER:
            self._answer = b"\xff"

    def _settle(self) -> None:
        if self._ready_us is not None and self._now() >= self._ready_us:
            self._ready_us = None
            coarse = 3 - (self._settings[2] >> 5 & 3)
            sixteenths = round(self._truth()["temperature"] * 16)
            self._sixteenths = sixteenths >> coarse << coarse

    def _scratchpad(self) -> bytes:
        data = (self._sixteenths & 0xFFFF).to_bytes(2, "little") + bytes(self._settings) + b"\xff\x0c\x10"
        data += bytes((crc8(data),))
        if self.spoilt:
            self.spoilt -= 1
            return data[:1] + bytes((data[1] ^ 0x20,)) + data[2:]
        return data

    def _now(self) -> int:
        return 0 if self._clock is None else self._clock.now_us()


def crc8(data: bytes) -> int:
    """X8 + X5 + X4 + 1, as the shift register of figure 11 makes it."""
    register = 0
    for byte in data:
        for place in range(8):
            feedback = (register ^ byte >> place) & 1
            register = register >> 1 ^ (0b1000_1100 if feedback else 0)
    return register
