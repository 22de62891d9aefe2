"""UARTs: bytes that take their time both ways, and a receive buffer that overflows."""

import errno
import struct
from collections.abc import Callable

from qytet_simulators.hardware.clock import Due, VirtualClock
from qytet_simulators.hardware.ports import Clock, UartDevice
from qytet_simulators.hardware.protocol import Answer, Handler, Op, Question
from qytet_simulators.hardware.wiring import Wiring

__all__ = ["Serial"]

_OPEN = struct.Struct("<HHiiBBB")
_CHUNK = 112
"""Bytes at which the ESP32's receiver hands over what it holds; it also does when the line falls silent."""
_SILENCE_SYMBOLS = 2


class _Line:
    """One pair of wires; the UartLine of its device. Open while the program has a UART on its pins."""

    def __init__(self, clock: VirtualClock, on_bytes: Callable[[], None]) -> None:
        self._clock, self._on_bytes = clock, on_bytes
        self._incoming: list[Due] = []
        self._free_at = 0
        self.close()

    def open(self, baud: int, room: int, symbol_bits: int) -> None:
        """The board listens."""
        self.close()
        self.is_open, self.baud, self.room, self.bits = True, baud, room, symbol_bits

    def close(self) -> None:
        """What comes is lost, what has come is forgotten."""
        self.is_open, self.baud, self.room, self.bits = False, 9600, 0, 10
        self.buffer = bytearray()
        self.lost = 0
        self.out_until = 0
        for due in self._incoming:
            due.cancel()
        self._incoming.clear()

    @property
    def clock(self) -> Clock:
        """Virtual time."""
        return self._clock

    def took_us(self, count: int) -> int:
        """How long so many bytes take."""
        return count * self.bits * 1_000_000 // self.baud

    def say(self, data: bytes, after_us: int = 0) -> None:
        """As ports.UartLine."""
        begins = max(self._clock.now_us() + after_us, self._free_at)
        self._incoming = [due for due in self._incoming if due.waits]
        for start in range(0, len(data), _CHUNK):
            chunk = bytes(data[start : start + _CHUNK])
            begins += self.took_us(len(chunk))
            self._arrive(begins + self.took_us(_SILENCE_SYMBOLS), chunk)
        self._free_at = begins

    def _arrive(self, at_us: int, chunk: bytes) -> None:
        def taken() -> None:
            room = self.room - len(self.buffer) if self.is_open else 0
            self.buffer += chunk[: max(room, 0)]
            self.lost += max(len(chunk) - max(room, 0), 0)
            if self.is_open:
                self._on_bytes()

        self._incoming.append(self._clock.call_at(at_us, taken))


class Serial:
    """All UARTs of a board. A device that has a `baudrate` hears nothing at another, and what it says is garbage."""

    def __init__(self, clock: VirtualClock, wiring: Wiring, on_bytes: Callable[[], None]) -> None:
        self._clock, self._wiring, self._on_bytes = clock, wiring, on_bytes
        self._lines: dict[tuple[int, int], _Line] = {}
        self._ports: dict[int, tuple[int, int]] = {}
        self.handlers: dict[Op, Handler] = {
            Op.UART_OPEN: self._open,
            Op.UART_WRITE: self._write,
            Op.UART_READ: self._read,
            Op.UART_ANY: self._any,
        }

    def power_on(self) -> None:
        """Everything on the lines gets power."""
        for pins, device in self._wiring.uart.items():
            device.plugged(self._line(pins))

    def reset(self) -> None:
        """All UARTs close."""
        for line in self._lines.values():
            line.close()
        self._ports.clear()

    def _line(self, pins: tuple[int, int]) -> _Line:
        if pins not in self._lines:
            self._lines[pins] = _Line(self._clock, self._on_bytes)
        return self._lines[pins]

    def _open(self, question: Question) -> Answer:
        old = self._ports.pop(question.a, None)
        if old is not None:
            self._lines[old].close()
        if question.b:
            tx, rx, baud, room, bits, parity, stop = _OPEN.unpack(question.data)
            if baud <= 0:
                return Answer(-errno.EINVAL)
            self._ports[question.a] = (tx, rx)
            self._line((tx, rx)).open(baud, room, 1 + bits + (parity != 2) + stop)
        return Answer()

    def _of(self, port: int) -> tuple[_Line, UartDevice | None]:
        pins = self._ports.get(port, (-1, -1))
        return self._line(pins), self._wiring.uart.get(pins)

    def _write(self, question: Question) -> Answer:
        line, device = self._of(question.a)
        begins = max(self._clock.now_us(), line.out_until)
        line.out_until = begins + line.took_us(len(question.data))
        if device is not None and _same_speed(device, line):
            self._clock.call_at(line.out_until, lambda: device.heard(question.data))
        return Answer(len(question.data))

    def _read(self, question: Question) -> Answer:
        line, device = self._of(question.a)
        count = len(line.buffer) if question.b < 0 else question.b
        said = bytes(line.buffer[:count])
        del line.buffer[:count]
        if device is not None and not _same_speed(device, line):
            said = bytes(byte ^ 0xA5 | 0x80 for byte in said)
        return Answer(0, said)

    def _any(self, question: Question) -> Answer:
        line, _ = self._of(question.a)
        if question.b:
            return Answer(max(line.out_until - self._clock.now_us(), 0))
        return Answer(len(line.buffer))


def _same_speed(device: UartDevice, line: _Line) -> bool:
    wanted = getattr(device, "baudrate", None)
    return wanted is None or bool(abs(wanted - line.baud) <= wanted * 0.03)
