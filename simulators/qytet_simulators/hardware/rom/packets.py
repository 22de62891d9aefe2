"""Requests and replies of the loader's protocol, its commands and its reasons to refuse.

Source: Espressif, "Serial Protocol" (esptool's documentation): header = direction, command, u16 length, u32 checksum
(request) or value (reply), all little endian; a reply ends in its status.
"""

import functools
import operator
import struct
from enum import Enum, IntEnum
from typing import NamedTuple

__all__ = ["Command", "RefusedError", "Request", "Why", "checksum", "reply", "request"]

_HEADER = struct.Struct("<BBHI")
_REQUEST, _REPLY = 0, 1
_CHECKSUM_SEED = 0xEF


class Command(IntEnum):
    """What can be asked; from ERASE_FLASH on only of the stub."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    MEM_BEGIN = 0x05
    MEM_END = 0x06
    MEM_DATA = 0x07
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    READ_FLASH_SLOW = 0x0E
    CHANGE_BAUDRATE = 0x0F
    FLASH_DEFL_BEGIN = 0x10
    FLASH_DEFL_DATA = 0x11
    FLASH_DEFL_END = 0x12
    SPI_FLASH_MD5 = 0x13
    GET_SECURITY_INFO = 0x14
    ERASE_FLASH = 0xD0
    ERASE_REGION = 0xD1
    READ_FLASH = 0xD2
    RUN_USER_CODE = 0xD3


class Why(Enum):
    """A reason to refuse: the ROM's code and the stub's ("Serial Protocol", ROM Loader Errors, Stub Loader Status)."""

    UNKNOWN = 0x05, 0xC3
    BAD_LENGTH = 0x05, 0xC0
    BAD_CHECKSUM = 0x07, 0xC1
    FAILED = 0x06, 0xC4
    WRITE_FAILED = 0x08, 0xC4
    READ_FAILED = 0x09, 0xC4
    NOT_BEGUN = 0x06, 0xC6
    INFLATE = 0x0B, 0xC7
    TOO_MUCH = 0x06, 0xC9
    NOT_HERE = 0x05, 0xFF

    @property
    def rom(self) -> int:
        """The ROM's code."""
        return self.value[0]

    @property
    def stub(self) -> int:
        """The stub's code."""
        return self.value[1]


class RefusedError(Exception):
    """The loader will not do it; `why` says so to the host."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.name)
        self.why = why


class Request(NamedTuple):
    """A command with its data; `checksum` counts for those that carry data to write, `whole` says if all arrived."""

    command: int
    checksum: int
    data: bytes
    whole: bool = True

    def numbers(self, count: int) -> tuple[int, ...]:
        """The first `count` numbers of the data. Raises RefusedError if there are not so many."""
        if len(self.data) < 4 * count:
            raise RefusedError(Why.BAD_LENGTH)
        return struct.unpack_from(f"<{count}I", self.data)

    def block(self) -> bytes:
        """What follows the four numbers of a *_DATA command. Raises RefusedError if it is not what was sent."""
        length = self.numbers(4)[0]
        data = self.data[16:]
        if length != len(data):
            raise RefusedError(Why.TOO_MUCH)
        if checksum(data) != self.checksum:
            raise RefusedError(Why.BAD_CHECKSUM)
        return data


def checksum(data: bytes) -> int:
    """XOR of all bytes, begun with 0xEF."""
    return functools.reduce(operator.xor, data, _CHECKSUM_SEED)


def request(packet: bytes) -> Request | None:
    """What a packet asks; None if it is no request."""
    if len(packet) < _HEADER.size:
        return None
    direction, command, length, total = _HEADER.unpack_from(packet)
    data = packet[_HEADER.size :]
    return Request(command, total, data, length == len(data)) if direction == _REQUEST else None


def reply(command: int, value: int, data: bytes, status: bytes) -> bytes:
    """An answer as a packet."""
    return _HEADER.pack(_REPLY, command, len(data) + len(status), value & 0xFFFFFFFF) + data + status
