"""One run of FLASH_BEGIN, FLASH_DATA …, plain or compressed, and the stub's way of reading the flash back."""

import hashlib
import zlib

from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom.packets import RefusedError, Why

__all__ = ["Download", "Reading", "erase_around"]

_LARGEST_PACKET = 4096
"""The stub's buffer."""


def erase_around(flash: FlashFile, offset: int, size: int) -> None:
    """Erase every sector of which these bytes are a part. Raises RefusedError beyond the end, PowerCutError."""
    if not size:
        return
    begin = offset - offset % flash.block
    end = offset + size + -(offset + size) % flash.block
    if end > flash.size:
        raise RefusedError(Why.FAILED)
    flash.erase(begin, end - begin)


class Download:
    """Writes what comes, block after block; like the real loaders it does not look at the blocks' numbers.

    `ahead`: all is erased before the first block (ROM), and not sector by sector as they are reached (stub).
    """

    def __init__(self, flash: FlashFile, offset: int, size: int, *, compressed: bool, ahead: bool) -> None:
        self._flash, self._at, self.left = flash, offset, size
        self._inflater = zlib.decompressobj() if compressed else None
        self._erased_to = offset - offset % flash.block
        self._erase_end = offset + size + -(offset + size) % flash.block if size else self._erased_to
        if size and self._erase_end > flash.size:
            raise RefusedError(Why.FAILED)
        if ahead:
            self._erase_to(self._erase_end)

    def take(self, block: bytes) -> None:
        """Write it. Raises RefusedError for what does not inflate, PowerCutError."""
        data = block if self._inflater is None else self._inflated(block)
        data = data[: self.left]
        if not data:
            return
        self._erase_to(self._at + len(data))
        self._flash.write(self._at, data)
        self._at += len(data)
        self.left -= len(data)

    def _inflated(self, block: bytes) -> bytes:
        assert self._inflater is not None
        if self._inflater.eof:
            raise RefusedError(Why.TOO_MUCH)
        try:
            return self._inflater.decompress(block, self.left + 1)
        except zlib.error:
            raise RefusedError(Why.INFLATE) from None

    def _erase_to(self, end: int) -> None:
        while self._erased_to < min(end, self._erase_end):
            self._flash.erase(self._erased_to, self._flash.block)
            self._erased_to += self._flash.block


class Reading:
    """READ_FLASH: one packet at a time, the next when the host has said how much it has; then the MD5 of all."""

    def __init__(self, data: bytes, packet: int) -> None:
        if not 0 < packet <= _LARGEST_PACKET:
            raise RefusedError(Why.BAD_LENGTH)
        self._data, self._packet = data, packet
        self._sent = 0
        self.over = False

    def begin(self) -> bytes:
        """The first packet."""
        return self._next()

    def acknowledged(self, packet: bytes) -> bytes:
        """The next packet; whatever is no acknowledgement ends the reading."""
        if len(packet) != 4:
            self._data = self._data[: self._sent]
        return self._next()

    def _next(self) -> bytes:
        if self._sent >= len(self._data):
            self.over = True
            return hashlib.md5(self._data, usedforsecurity=False).digest()
        begin, self._sent = self._sent, self._sent + self._packet
        return self._data[begin : self._sent]
