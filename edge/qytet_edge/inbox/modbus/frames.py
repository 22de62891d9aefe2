"""Which of the bytes heard on a line are the answer to the question asked, and if none are, what they look like.

RTU (Modbus over Serial Line V1.02): unit, function, data, CRC-16 low byte first. A frame has no mark at its
beginning, and half-duplex drivers put stray bytes before and after it, so that every position is tried, and only
a frame of the right unit, function, length and checksum is taken.
TCP (Modbus Messaging on TCP/IP V1.0b): transaction, 0, length, unit, then function and data.
"""

from qytet_edge.inbox.modbus.errors import BusError, GarbledError, NoAnswerError

__all__ = ["crc", "explain_rtu", "explain_tcp", "find_rtu", "find_tcp"]

_READ_BITS = (1, 2)
_READ_REGISTERS = (3, 4)
_EXCEPTION = 0x80
_EXCEPTION_LENGTH = 5
_WRITE_LENGTH = 8
_HEADER = 7
_LONGEST_PDU = 254


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_TABLE = tuple(_crc_of_byte(byte) for byte in range(256))


def crc(frame: bytes) -> bytes:
    """The two bytes that end an RTU frame (polynomial 0xA001, begin 0xFFFF, low byte first)."""
    value = 0xFFFF
    for byte in frame:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def find_rtu(request: bytes, heard: bytes) -> bytes | None:
    """The answer to `request` among the bytes heard; None if there is none (yet)."""
    unit, function = request[0], request[1]
    for start in range(len(heard) - _EXCEPTION_LENGTH + 1):
        if heard[start] != unit:
            continue
        if heard[start + 1] == function | _EXCEPTION:
            frame = heard[start : start + _EXCEPTION_LENGTH]
        elif heard[start + 1] == function and _answers(request[:6], heard[start : start + 6]):
            frame = heard[start : start + _length(request)]
            if len(frame) < _length(request):
                continue
        else:
            continue
        if crc(frame[:-2]) == frame[-2:]:
            return frame
    return None


def explain_rtu(request: bytes, heard: bytes) -> BusError:
    """What became of a question, when no answer was found in what was heard until time was up."""
    unit, function = request[0], request[1]
    if not heard or heard == request:  # some two-wire adapters hear themselves
        return NoAnswerError(f"unit {unit} is silent")
    if find_rtu(request, heard):
        return _late(unit)
    if (other := _other_unit(unit, function, heard)) is not None:
        return GarbledError(f"unit {other} answered in the place of unit {unit}", "other unit")
    header = bytes((unit, function))
    place = heard.find(header, len(request) if heard.startswith(request) else 0)
    if place < 0:
        return GarbledError(f"unit {unit} was asked; {len(heard)} bytes came that are no answer", "noise")
    if len(heard) - place < _length(request):
        return GarbledError(f"the answer of unit {unit} is cut short", "short")
    return GarbledError(f"the answer of unit {unit} has a bad checksum", "checksum")


def find_tcp(request: bytes, heard: bytes) -> bytes | None:
    """The answer to `request` in the stream heard; answers to earlier questions are passed over."""
    while len(heard) > _HEADER:
        size = 6 + int.from_bytes(heard[4:6], "big")
        if heard[2:4] != b"\0\0" or not _HEADER < size <= 6 + _LONGEST_PDU:
            return None
        frame, heard = heard[:size], heard[size:]
        if len(frame) == size and frame[:2] == request[:2] and _fits_tcp(request[6:], frame[6:]):
            return frame
    return None


def explain_tcp(request: bytes, heard: bytes) -> BusError:
    """What became of a question, when no answer was found until time was up."""
    unit = request[6]
    if not heard:
        return NoAnswerError(f"unit {unit} is silent")
    if find_tcp(request, heard):
        return _late(unit)
    if heard[2:4] == b"\0\0" and len(heard) > _HEADER and heard[6] != unit:
        return GarbledError(f"unit {heard[6]} answered in the place of unit {unit}", "other unit")
    return GarbledError(f"unit {unit} was asked; {len(heard)} bytes came that are no answer", "noise")


def _late(unit: int) -> BusError:
    """A sound answer that came in the very moment in which time was up."""
    return NoAnswerError(f"unit {unit} answered too late: give it a longer timeout_s")


def _fits_tcp(asked: bytes, told: bytes) -> bool:
    """Both begin with the unit. A function without its exception bit must bring what was asked for."""
    if told[0] != asked[0] or len(told) < 3:
        return False
    if told[1] == asked[1] | _EXCEPTION:
        return True
    return told[1] == asked[1] and _answers(asked[:6], told[:6]) and len(told) == _length(asked) - 2


def _answers(asked: bytes, told: bytes) -> bool:
    """A read is answered by as many bytes as were asked for, a write by its own first six bytes."""
    return told[2] == _data_bytes(asked) if asked[1] in (*_READ_BITS, *_READ_REGISTERS) else told == asked


def _data_bytes(asked: bytes) -> int:
    count = int.from_bytes(asked[4:6], "big")
    return (count + 7) // 8 if asked[1] in _READ_BITS else 2 * count


def _length(asked: bytes) -> int:
    """Bytes of a good answer on a serial line."""
    if asked[1] in (*_READ_BITS, *_READ_REGISTERS):
        return _data_bytes(asked) + 5
    return _WRITE_LENGTH


def _other_unit(unit: int, function: int, heard: bytes) -> int | None:
    """The unit of a sound answer in what was heard, if it is another than the one asked."""
    for start in range(len(heard) - _EXCEPTION_LENGTH + 1):
        told = heard[start : start + 3]
        if told[0] in (0, unit) or told[1] not in (function, function | _EXCEPTION):
            continue
        size = _EXCEPTION_LENGTH if told[1] & _EXCEPTION else told[2] + 5
        frame = heard[start : start + size]
        if len(frame) == size and crc(frame[:-2]) == frame[-2:]:
            return told[0]
    return None
