"""A simulated Modbus unit: its registers, what it answers, and how it misbehaves when told to.

Written from the Modbus Application Protocol V1.1b3, apart from the gateway's own reading of it, so that the two
check each other. Registers are a dictionary a table; a value may be a function, asked at each read.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from struct import pack, unpack

__all__ = ["Fault", "ModbusUnit", "Register", "checksum", "put_float", "put_whole"]

Register = int | Callable[[], int]
_COILS, _INPUTS, _HOLDING, _INPUT = 1, 2, 3, 4
_WRITE_COIL, _WRITE_REGISTER, _WRITE_COILS, _WRITE_REGISTERS = 5, 6, 15, 16
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE = 1, 2, 3
_MOST = {_COILS: 2000, _INPUTS: 2000, _HOLDING: 125, _INPUT: 125}


@dataclass(frozen=True)
class Fault:
    """How one answer goes wrong. Several may hold at once; a field left alone does nothing."""

    silent: bool = False
    bad_checksum: bool = False
    before: bytes = b""
    """Noise on the line before the answer."""
    after: bytes = b""
    """Noise after it."""
    delay_s: float = 0.0
    """How long the unit takes."""
    wrong_unit: int | None = None
    """Another unit's address stands in the answer, with a good checksum."""
    cut: int | None = None
    """Only so many bytes of the answer come."""
    echo: bool = False
    """The adapter hears the question itself."""
    exception: int | None = None
    """Answer with this Modbus exception."""
    pieces: int = 1
    """In so many pieces the answer comes, as a USB adapter delivers it."""


@dataclass
class ModbusUnit:
    """One unit. `faults` are used up, one an answer; `fault` is what holds when none is left."""

    address: int
    tables: dict[int, dict[int, Register]] = field(default_factory=dict)
    """By function that reads them (1 coils, 2 discrete inputs, 3 holding, 4 input registers): address to value."""
    fault: Fault = field(default_factory=Fault)
    faults: deque[Fault] = field(default_factory=deque)
    asked: int = 0
    """Questions that came to this unit."""
    writes: list[tuple[int, int, int]] = field(default_factory=list)
    """Function, address and value, in the order they came."""
    frozen: bool = False
    """Confirms writes without doing them: a stuck valve."""

    def next_fault(self) -> Fault:
        """What becomes of the answer to come."""
        self.asked += 1
        return self.faults.popleft() if self.faults else self.fault

    def answer(self, pdu: bytes, fault: Fault) -> bytes:
        """The answer to function and data, as the protocol has it."""
        if fault.exception is not None:
            return bytes((pdu[0] | 0x80, fault.exception))
        try:
            return self._answer(pdu)
        except _RefusedError as refused:
            return bytes((pdu[0] | 0x80, refused.code))

    def _answer(self, pdu: bytes) -> bytes:
        function = pdu[0]
        if function in _MOST:
            address, count = unpack(">HH", pdu[1:5])
            values = self._read(function, address, count)
            data = _bits(values) if function in (_COILS, _INPUTS) else pack(f">{count}H", *values)
            return bytes((function, len(data))) + data
        if function in (_WRITE_COIL, _WRITE_REGISTER):
            address, value = unpack(">HH", pdu[1:5])
            if function == _WRITE_COIL and value not in (0, 0xFF00):
                raise _RefusedError(_ILLEGAL_VALUE)
            self._write(function, address, [value and 1] if function == _WRITE_COIL else [value])
            return pdu[:5]
        if function in (_WRITE_COILS, _WRITE_REGISTERS):
            address, count = unpack(">HH", pdu[1:5])
            if function == _WRITE_REGISTERS:
                values = list(unpack(f">{count}H", pdu[6 : 6 + 2 * count]))
            else:
                values = [pdu[6 + place // 8] >> place % 8 & 1 for place in range(count)]
            self._write(function, address, values)
            return pdu[:5]
        raise _RefusedError(_ILLEGAL_FUNCTION)

    def _read(self, function: int, address: int, count: int) -> list[int]:
        if not 1 <= count <= _MOST[function]:
            raise _RefusedError(_ILLEGAL_VALUE)
        table = self.tables.get(function)
        if table is None:
            raise _RefusedError(_ILLEGAL_FUNCTION)
        try:
            found = [table[place] for place in range(address, address + count)]
        except KeyError:
            raise _RefusedError(_ILLEGAL_ADDRESS) from None
        return [value() if callable(value) else value for value in found]

    def _write(self, function: int, address: int, values: list[int]) -> None:
        table = self.tables.get(_COILS if function in (_WRITE_COIL, _WRITE_COILS) else _HOLDING, {})
        if any(place not in table for place in range(address, address + len(values))):
            raise _RefusedError(_ILLEGAL_ADDRESS)
        for place, value in enumerate(values, address):
            self.writes.append((function, place, value))
            if not self.frozen:
                table[place] = value


class _RefusedError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def checksum(frame: bytes) -> bytes:
    """CRC-16 of a serial frame, bit by bit as the specification draws it."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value, carry = value >> 1, value & 1
            if carry:
                value ^= 0xA001
    return bytes((value & 0xFF, value >> 8))


def put_float(table: dict[int, Register], values: Mapping[int, float], *, low_first: bool = False) -> None:
    """Put single-precision numbers at their addresses, two registers each."""
    for address, value in values.items():
        words = unpack(">HH", pack(">f", value))
        table[address], table[address + 1] = reversed(words) if low_first else words


def put_whole(
    table: dict[int, Register], address: int, value: int, registers: int, *, low_first: bool = False
) -> None:
    """Put a whole number into as many registers."""
    words = [value >> 16 * place & 0xFFFF for place in range(registers)]
    table.update(enumerate(words if low_first else reversed(words), address))


def _bits(values: list[int]) -> bytes:
    data = bytearray((len(values) + 7) // 8)
    for place, value in enumerate(values):
        data[place // 8] |= (value & 1) << place % 8
    return bytes(data)
