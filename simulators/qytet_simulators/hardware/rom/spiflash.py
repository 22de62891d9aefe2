"""The flash chip as its controller sees it: the commands of a serial NOR flash, on the flash file.

Source: W25Q32JV data sheet, 8.1.2 (instruction set).
"""

from qytet_simulators.hardware.flash import FlashFile

__all__ = ["SpiFlash"]

_WRITE_ENABLE, _WRITE_DISABLE = 0x06, 0x04
_READ, _PROGRAM, _JEDEC_ID, _PARAMETERS = 0x03, 0x02, 0x9F, 0x5A
_STATUS = {0x05: 0, 0x35: 1, 0x15: 2}
_CHIP_ERASE = (0xC7, 0x60)
_BLOCK_ERASE = {0x20: 4096, 0x52: 32 << 10, 0xD8: 64 << 10}
_ENABLED = 0x02
_PAGE = 256
_MAKER, _FAMILY = 0xEF, 0x40
"""Winbond, W25Q."""


class SpiFlash:
    """Does one command at a time; erases and writes only after "write enable"."""

    def __init__(self, flash: FlashFile) -> None:
        self._flash = flash
        self._status = bytearray(3)

    def command(self, code: int, address: int, data: bytes, count: int) -> bytes:
        """What the chip answers, `count` bytes. Raises PowerCutError."""
        if code in _STATUS:
            return bytes(self._status[_STATUS[code] :][:1]) * count
        if code == _JEDEC_ID:
            return bytes((_MAKER, _FAMILY, self._flash.size.bit_length() - 1))[:count].ljust(count, b"\0")
        if code == _PARAMETERS:
            return b"SFDP"[address : address + count].ljust(count, b"\xff")
        if code == _READ:
            return self._read(address % self._flash.size, count)
        self._change(code, address % self._flash.size, data)
        return bytes(count)

    def _read(self, begin: int, count: int) -> bytes:
        """At its end the chip goes on at its beginning (8.2.6, Read Data)."""
        first = self._flash.read(begin, min(count, self._flash.size - begin))
        return first + self._flash.read(0, count - len(first))

    def _change(self, code: int, address: int, data: bytes) -> None:
        if code == _WRITE_ENABLE:
            self._status[0] |= _ENABLED
        elif code == _WRITE_DISABLE:
            self._status[0] &= ~_ENABLED
        elif self._status[0] & _ENABLED:
            self._status[0] &= ~_ENABLED
            if code in _BLOCK_ERASE:
                size = min(_BLOCK_ERASE[code], self._flash.size)
                self._flash.erase(address - address % size, size)
            elif code in _CHIP_ERASE:
                self._flash.erase(0, self._flash.size)
            elif code == _PROGRAM:
                room = _PAGE - address % _PAGE
                self._flash.write(address, data[:room])
