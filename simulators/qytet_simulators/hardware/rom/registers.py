"""The chip's registers as far as a host reads and writes them through the loader."""

import struct

from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom.chips import RomChip
from qytet_simulators.hardware.rom.spiflash import SpiFlash

__all__ = ["Registers"]

_MAGIC_AT = 0x40001000
_CRYSTAL_HZ = 40_000_000
_SPI_GO = 1 << 18
_HAS_ADDRESS, _HAS_INPUT, _HAS_OUTPUT = 1 << 30, 1 << 28, 1 << 27
_ADDRESS_AT = 4
_WORDS = 16
_WATCHDOG_ON = 1 << 31
_WORD = 0xFFFFFFFF


class Registers:
    """All of them; those that nobody has written are zero."""

    def __init__(self, chip: RomChip, mac: bytes, flash: FlashFile) -> None:
        self._chip, self._spi = chip, chip.spi
        self._flash = SpiFlash(flash)
        self._values = {_MAGIC_AT: chip.magic, **chip.fuses(mac)}
        self.attached = False
        """Whether the flash's pins are connected to its controller."""
        self.watchdog_on = False
        """Whether the host has set the watchdog on the chip, to reset it."""
        self.baud(115200)

    def baud(self, baud: int) -> None:
        """The UART goes at this speed, which hosts calculate the crystal's frequency by."""
        self._values[self._chip.uart_divider] = _CRYSTAL_HZ // max(baud, 1)

    def read(self, address: int) -> int:
        """One register."""
        return self._values.get(address, 0)

    def write(self, address: int, value: int, mask: int = _WORD) -> None:
        """Some bits of one register. Raises PowerCutError if it starts a flash operation."""
        self._values[address] = (self.read(address) & ~mask | value & mask) & _WORD
        if address == self._spi.base and value & mask & _SPI_GO:
            self._values[address] &= ~_SPI_GO
            if self.attached:
                self._run()
        if address == self._chip.watchdog and value & mask & _WATCHDOG_ON:
            self.watchdog_on = True

    def _run(self) -> None:
        """The command that lies in the controller's registers."""
        spi = self._spi
        user = self.read(spi.base + spi.user)
        sends = (self.read(spi.base + spi.out_bits) + 8) // 8 if user & _HAS_OUTPUT else 0
        takes = (self.read(spi.base + spi.in_bits) + 8) // 8 if user & _HAS_INPUT else 0
        words = [self.read(spi.base + spi.data + 4 * at) for at in range(_WORDS)]
        answer = self._flash.command(
            self.read(spi.base + spi.user2) & 0xFF,
            self._address() if user & _HAS_ADDRESS else 0,
            struct.pack(f"<{_WORDS}I", *words)[:sends],
            min(takes, 4 * _WORDS),
        )
        for at in range(0, len(answer), 4):
            word = int.from_bytes(answer[at : at + 4], "little")
            self._values[spi.base + spi.data + at] = word

    def _address(self) -> int:
        spi = self._spi
        bits = (self.read(spi.base + spi.user1) >> 26) + 1
        address = self.read(spi.base + _ADDRESS_AT)
        return address >> (32 - bits) if spi.address_left else address & ((1 << bits) - 1)
