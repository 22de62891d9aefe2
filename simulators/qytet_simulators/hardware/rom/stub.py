"""The stub: the program that hosts put into RAM and start, faster than the ROM, and able to erase and read back."""

import hashlib

from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom.chips import RomChip
from qytet_simulators.hardware.rom.download import Reading, erase_around
from qytet_simulators.hardware.rom.loader import Answer, Into, Loader
from qytet_simulators.hardware.rom.packets import Command, RefusedError, Request, Why
from qytet_simulators.hardware.rom.registers import Registers

__all__ = ["GREETING", "StubLoader"]

GREETING = b"OHAI"
"""What the stub says when it begins."""


class StubLoader(Loader):
    """What differs from the ROM; source: Espressif's esp-flasher-stub, `command_handler.c`."""

    is_stub = True

    def __init__(self, chip: RomChip, registers: Registers, flash: FlashFile) -> None:
        super().__init__(chip, registers, flash)
        registers.attached = True
        self.reading: Reading | None = None
        self._failed: Why | None = None
        self._commands |= {
            Command.ERASE_FLASH: self._erase_flash,
            Command.ERASE_REGION: self._erase_region,
            Command.READ_FLASH: self._read_flash,
            Command.RUN_USER_CODE: self._run_program,
        }
        self._commands.setdefault(Command.GET_SECURITY_INFO, self._no_security)

    def status(self, why: Why | None) -> bytes:
        """The reason, and a byte without meaning."""
        return bytes(2) if why is None else bytes((why.stub, 0))

    def digest(self, data: bytes) -> bytes:
        """As 16 bytes."""
        return hashlib.md5(data, usedforsecurity=False).digest()

    def obey(self, request: Request) -> Answer:
        """As the ROM; what failed after an earlier answer is told instead of doing the next."""
        failed, self._failed = self._failed, None
        if failed is not None and request.whole:
            raise RefusedError(failed)
        return super().obey(request)

    def failed(self, why: Why) -> None:
        """Something went wrong after its command was answered."""
        self._failed = why

    def acknowledged(self, packet: bytes) -> None:
        """The host has this much of what it reads."""
        if self.reading is not None:
            self.next.packets.append(self.reading.acknowledged(packet))
            if self.reading.over:
                self.reading = None

    def _erase_flash(self, _: Request) -> Answer:
        self.flash.erase(0, self.flash.size)
        return Answer()

    def _erase_region(self, request: Request) -> Answer:
        offset, size = request.numbers(2)
        if offset % self.flash.block or size % self.flash.block:
            raise RefusedError(Why.BAD_LENGTH)
        erase_around(self.flash, offset, size)
        return Answer()

    def _read_flash(self, request: Request) -> Answer:
        offset, size, packet, _ = request.numbers(4)
        reading = Reading(self._read(offset, size), packet)
        self.next.packets.append(reading.begin())
        self.reading = None if reading.over else reading
        return Answer()

    def _run_program(self, _: Request) -> Answer:
        self.next.restart = Into.PROGRAM
        return Answer(silent=True)

    def _no_security(self, _: Request) -> Answer:
        raise RefusedError(Why.NOT_HERE)
