"""The loader in ROM: what each command does, and the answer to it; its stub (`stub.py`) shares most of that."""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom.chips import RomChip
from qytet_simulators.hardware.rom.download import Download
from qytet_simulators.hardware.rom.memory import Memory
from qytet_simulators.hardware.rom.packets import Command, RefusedError, Request, Why
from qytet_simulators.hardware.rom.registers import Registers

__all__ = ["Answer", "Into", "Loader", "Next", "RomLoader"]

_SYNC = b"\x07\x07\x12\x20" + b"\x55" * 32
_ROM_SYNC_VALUE = 0x20120707
_SLOW_READ = 64


@dataclass
class Answer:
    """`value` and `data` of the reply; `copies` of it; `after` is done when it is on the line.

    None of them if `silent`. What `after` raises is told to the next command.
    """

    value: int = 0
    data: bytes = b""
    copies: int = 1
    after: Callable[[], None] | None = None
    silent: bool = False


class Into(Enum):
    """Where a restart leads."""

    PROGRAM = auto()
    LOADER = auto()
    AS_HELD = auto()
    """As GPIO0 is held: what resets the whole chip looks at it again, what restarts only the processor does not."""


@dataclass
class Next:
    """What the board is to do once the loader's words are on the line."""

    restart: Into | None = None
    """Begin anew."""
    stub: bool = False
    """Let the stub take over."""
    baud: int = 0
    """Speak at this speed; 0: at the same."""
    packets: list[bytes] = field(default_factory=list)
    """Say these."""


class Loader:
    """What ROM and stub have in common. All methods raise RefusedError, and PowerCutError if the power goes."""

    is_stub = False

    def __init__(self, chip: RomChip, registers: Registers, flash: FlashFile) -> None:
        self.chip, self.registers, self.flash = chip, registers, flash
        self.memory = Memory()
        self.next = Next()
        self._download: Download | None = None
        self._commands: dict[int, Callable[[Request], Answer]] = {
            Command.SYNC: self._sync,
            Command.READ_REG: lambda request: Answer(self.registers.read(*request.numbers(1))),
            Command.WRITE_REG: self._write_reg,
            Command.SPI_SET_PARAMS: lambda _: Answer(),
            Command.SPI_ATTACH: self._attach,
            Command.CHANGE_BAUDRATE: self._change_baud,
            Command.MEM_BEGIN: self._mem_begin,
            Command.MEM_DATA: self._mem_data,
            Command.MEM_END: self._mem_end,
            Command.FLASH_BEGIN: lambda request: self._begin(request, compressed=False),
            Command.FLASH_DEFL_BEGIN: lambda request: self._begin(request, compressed=True),
            Command.FLASH_DATA: self._data,
            Command.FLASH_DEFL_DATA: self._data,
            Command.FLASH_END: self._end,
            Command.FLASH_DEFL_END: self._end,
            Command.SPI_FLASH_MD5: self._md5,
        }
        if chip.chip_id is not None:
            self._commands[Command.GET_SECURITY_INFO] = self._security

    def obey(self, request: Request) -> Answer:
        """Do it."""
        if not request.whole:
            raise RefusedError(Why.BAD_LENGTH)
        if request.command not in self._commands:
            raise RefusedError(Why.UNKNOWN)
        return self._commands[request.command](request)

    def status(self, why: Why | None) -> bytes:
        """The end of a reply."""
        raise NotImplementedError

    def digest(self, data: bytes) -> bytes:
        """An MD5 as this loader says it."""
        raise NotImplementedError

    def _read(self, offset: int, size: int) -> bytes:
        try:
            return self.flash.read(offset, size)
        except ValueError:
            raise RefusedError(Why.READ_FAILED) from None

    def _sync(self, request: Request) -> Answer:
        if request.data != _SYNC:
            raise RefusedError(Why.BAD_LENGTH)
        return Answer(0 if self.is_stub else _ROM_SYNC_VALUE, copies=8)

    def _write_reg(self, request: Request) -> Answer:
        if not request.data or len(request.data) % 16:
            raise RefusedError(Why.BAD_LENGTH)
        armed = self.registers.watchdog_on
        for address, value, mask, _ in struct.iter_unpack("<IIII", request.data):
            self.registers.write(address, value, mask)
        if armed:  # it bites after some milliseconds, in which hosts lock its registers again
            self.next.restart = Into.AS_HELD
        return Answer()

    def _attach(self, request: Request) -> Answer:
        request.numbers(1)
        self.registers.attached = True
        return Answer()

    def _change_baud(self, request: Request) -> Answer:
        self.next.baud = request.numbers(2)[0]
        return Answer()

    def _mem_begin(self, request: Request) -> Answer:
        size, _, _, address = request.numbers(4)
        self.memory.begin(address, size)
        return Answer()

    def _mem_data(self, request: Request) -> Answer:
        self.memory.take(request.block())
        return Answer()

    def _mem_end(self, request: Request) -> Answer:
        stays, entry = request.numbers(2)
        if not stays:
            self.memory.start(entry)
            self.next.stub = True
        return Answer()

    def _begin(self, request: Request, *, compressed: bool) -> Answer:
        size, _, _, offset = request.numbers(4)
        if not self.registers.attached:
            raise RefusedError(Why.FAILED)
        self._download = Download(self.flash, offset, size, compressed=compressed, ahead=not self.is_stub)
        return Answer()

    def _data(self, request: Request) -> Answer:
        download = self._download
        if download is None:
            raise RefusedError(Why.NOT_BEGUN)
        block = request.block()
        if self.is_stub:  # it answers first and writes then, so that the host sends the next block meanwhile
            return Answer(after=lambda: download.take(block))
        download.take(block)
        return Answer()

    def _end(self, request: Request) -> Answer:
        (stays,) = request.numbers(1)
        if self._download is None:
            raise RefusedError(Why.NOT_BEGUN)
        if self._download.left and self.is_stub:
            raise RefusedError(Why.BAD_LENGTH)
        self._download = None
        if not stays:
            self.next.restart = Into.LOADER if self.is_stub else Into.PROGRAM
        return Answer()

    def _md5(self, request: Request) -> Answer:
        offset, size = request.numbers(2)
        return Answer(data=self.digest(self._read(offset, size)))

    def _security(self, _: Request) -> Answer:
        flags, encryption_count, purposes = 0, 0, bytes(7)
        assert self.chip.chip_id is not None
        return Answer(data=struct.pack("<IB7sII", flags, encryption_count, purposes, self.chip.chip_id, 0))


class RomLoader(Loader):
    """The loader that is in the chip."""

    def __init__(self, chip: RomChip, registers: Registers, flash: FlashFile) -> None:
        super().__init__(chip, registers, flash)
        self._commands[Command.READ_FLASH_SLOW] = self._read_slow

    def status(self, why: Why | None) -> bytes:
        """Failed or not, the reason, and two bytes without meaning."""
        return bytes(4) if why is None else bytes((1, why.rom, 0, 0))

    def digest(self, data: bytes) -> bytes:
        """As 32 hexadecimal digits."""
        return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()

    def _read_slow(self, request: Request) -> Answer:
        offset, size = request.numbers(2)
        if not self.registers.attached or size > _SLOW_READ:
            raise RefusedError(Why.READ_FAILED)
        return Answer(data=self._read(offset, size).ljust(_SLOW_READ, b"\0"))
