"""I2C and 1-Wire: what the program's transfers become at the chips."""

import errno
import struct

from qytet_simulators.hardware.clock import VirtualClock
from qytet_simulators.hardware.ports import OneWireDevice
from qytet_simulators.hardware.protocol import Answer, Handler, Op, Question
from qytet_simulators.hardware.wiring import Wiring
from qytet_simulators.instruments.i2c import I2cBus

__all__ = ["I2c", "OneWire"]

_PINS = struct.Struct("<HHi")
_READ = 0x0001
_BIT_US = 70  # one 1-Wire slot (DS18B20 data sheet, table 1-Wire timing)
_RESET_US = 960


class _Message:
    """A message as smbus2 has it."""

    def __init__(self, addr: int, data: bytes = b"", count: int = 0) -> None:
        self.addr, self.flags, self.len = addr, _READ if count else 0, count or len(data)
        self.buf = [bytes([byte]) for byte in data] or [b"\0"] * count

    def __bytes__(self) -> bytes:
        return b"".join(self.buf)


class I2c:
    """All I2C buses of a board."""

    def __init__(self, clock: VirtualClock, wiring: Wiring) -> None:
        self._clock, self._wiring = clock, wiring
        self.handlers: dict[Op, Handler] = {Op.I2C: self._transfer, Op.I2C_SCAN: self._scan}

    def _transfer(self, question: Question) -> Answer:
        """Write what is given, then read `b` bytes; both in one transaction."""
        scl, sda, frequency = _PINS.unpack_from(question.data)
        data, count = question.data[_PINS.size :], question.b
        try:
            return self._transferred(self._wiring.i2c.get((scl, sda)), question.a, data, count)
        finally:  # what is read is as it was when it was asked for: a queue is emptied while it is read
            self._cost(len(data) + count + 2, frequency)

    def _transferred(self, bus: I2cBus | None, address: int, data: bytes, count: int) -> Answer:
        if bus is None:
            return Answer(-errno.ENODEV)
        messages = [_Message(address, data)] if data or not count else []
        if count:
            messages.append(_Message(address, count=count))
        try:
            bus.i2c_rdwr(*messages)
        except TimeoutError:
            self._clock.advance(self._clock.now_us() + 50_000)  # the driver's own limit
            return Answer(-errno.ETIMEDOUT)
        except OSError:
            return Answer(-errno.ENODEV)
        return Answer(0, bytes(messages[-1])) if count else Answer()

    def _scan(self, question: Question) -> Answer:
        scl, sda, frequency = _PINS.unpack_from(question.data)
        self._cost(112, frequency)
        bus = self._wiring.i2c.get((scl, sda))
        return Answer(0, bytes(sorted(bus.chips)) if bus is not None and not bus.held_down else b"")

    def _cost(self, count: int, frequency: int) -> None:
        self._clock.advance(self._clock.now_us() + count * 9_000_000 // max(frequency, 1000))


class OneWire:
    """All 1-Wire lines of a board; they do the ROM commands, chips the rest (DS18B20 data sheet, ROM commands)."""

    def __init__(self, clock: VirtualClock, wiring: Wiring) -> None:
        self._clock, self._wiring = clock, wiring
        self._selected: dict[int, list[OneWireDevice]] = {}
        self._heard: dict[int, bytearray] = {}
        self.handlers: dict[Op, Handler] = {Op.ONEWIRE: self._serve}

    def _serve(self, question: Question) -> Answer:
        line = question.a
        if question.b == 0:
            return Answer(int(self._reset(line)))
        if question.b == 1:
            for byte in question.data:
                self._write(line, byte)
            return Answer()
        if question.b == 2:
            return Answer(0, bytes(self._read(line) for _ in range(question.c)))
        self._clock.advance(self._clock.now_us() + 64 * 3 * _BIT_US)
        return Answer(0, b"".join(chip.rom for chip in self._wiring.onewire.get(line, []) if chip.reset()))

    def _reset(self, line: int) -> bool:
        self._clock.advance(self._clock.now_us() + _RESET_US)
        self._selected[line], self._heard[line] = [], bytearray()
        answers = [chip.reset() for chip in self._wiring.onewire.get(line, [])]
        return any(answers)

    def _write(self, line: int, byte: int) -> None:
        self._clock.advance(self._clock.now_us() + 8 * _BIT_US)
        heard = self._heard.setdefault(line, bytearray())
        if self._selected.get(line):
            for chip in self._selected[line]:
                chip.write(byte)
            return
        heard.append(byte)
        chips = self._wiring.onewire.get(line, [])
        if heard[0] == 0xCC:
            self._selected[line] = list(chips)
        elif heard[0] == 0x55 and len(heard) == 9:
            self._selected[line] = [chip for chip in chips if chip.rom == bytes(heard[1:])]

    def _read(self, line: int) -> int:
        self._clock.advance(self._clock.now_us() + 8 * _BIT_US)
        byte = 0xFF
        for chip in self._selected.get(line, []):
            byte &= chip.read()
        return byte
