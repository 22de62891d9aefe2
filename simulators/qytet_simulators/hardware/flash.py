"""The flash chip: one file with NOR semantics, shared by the ROM loader and the running program.

Writing only clears bits, erasing sets whole blocks, each erase is counted. Power can be cut at the n-th operation from
now: that operation is torn (part done, one place half done) and everything after it fails until `restore`.
"""

import mmap
import os
import random
import threading
from array import array
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["FlashFile", "PowerCutError"]

_BLANK = 0xFF


class PowerCutError(Exception):
    """The power went during this flash operation, or is off."""


class FlashFile:
    """A chip of `size` bytes in a file; made blank if there is no file. A context manager.

    Raises ValueError if a file is there and has another size. All methods may be called from any thread.
    """

    def __init__(self, path: Path, size: int = 4 << 20, block: int = 4096) -> None:
        if size <= 0 or size % block:
            raise ValueError(f"a flash of {size} bytes does not consist of blocks of {block}")
        self.path, self.size, self.block = path, size, block
        self.erases = array("L", bytes(array("L").itemsize * (size // block)))
        """How often each block was erased since this object was made."""
        self.operations = 0
        """Writes and erases since this object was made."""
        self.written = 0
        """Bytes written."""
        self._lock = threading.RLock()
        self._cut_at: int | None = None
        self._off = False
        self._luck = random.Random(0)
        self._memory = _mapped(path, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write everything to the file and let go of it."""
        with self._lock:
            if not self._memory.closed:
                self._memory.flush()
                self._memory.close()

    def read(self, offset: int, count: int) -> bytes:
        """Bytes from the chip. Raises ValueError beyond its end, PowerCutError without power."""
        with self._lock:
            self._check(offset, count)
            return self._memory[offset : offset + count]

    def write(self, offset: int, data: bytes) -> None:
        """Clear the bits that are clear in `data`. Raises ValueError beyond the end, PowerCutError."""
        with self._lock:
            self._check(offset, len(data))
            old = self._memory[offset : offset + len(data)]
            torn = self._counts()
            if torn:
                done = self._luck.randrange(len(data) + 1)
                half = data[done : done + 1]
                data = data[:done] + bytes(byte | self._luck.randrange(256) for byte in half)
                old = old[: len(data)]
            self._memory[offset : offset + len(data)] = _and(old, data)
            self.written += len(data)
            self._fail_if(torn)

    def erase(self, offset: int, count: int) -> None:
        """Set every bit of whole blocks. Raises ValueError if it is not whole blocks, PowerCutError."""
        if offset % self.block or count % self.block:
            raise ValueError(f"{count} bytes at {offset:#x} are not whole blocks of {self.block}")
        with self._lock:
            self._check(offset, count)
            for start in range(offset, offset + count, self.block):
                self._erase_block(start)

    def is_blank(self, offset: int, count: int) -> bool:
        """Whether all of it is erased."""
        return self.read(offset, count).count(_BLANK) == count

    def cut_after(self, operations: int, seed: int = 0) -> None:
        """Cut the power in the `operations`-th write or erase from now (1 is the next one)."""
        if operations < 1:
            raise ValueError("the power can be cut in the first operation at the earliest")
        with self._lock:
            self._cut_at = self.operations + operations
            self._luck = random.Random(seed)

    def restore(self) -> None:
        """Power is back; a cut that is still to come stays planned."""
        with self._lock:
            if self._off:
                self._off, self._cut_at = False, None

    def _erase_block(self, start: int) -> None:
        torn = self._counts()
        done = self._luck.randrange(self.block) if torn else self.block
        self._memory[start : start + done] = bytes([_BLANK]) * done
        if torn:
            at = start + done
            self._memory[at] |= self._luck.randrange(256)
        self.erases[start // self.block] += 1
        self._fail_if(torn)

    def _counts(self) -> bool:
        """Count an operation; tells whether the power goes in it."""
        self.operations += 1
        if self._cut_at is not None and self.operations >= self._cut_at:
            self._off = True
        return self._off

    @staticmethod
    def _fail_if(torn: bool) -> None:
        if torn:
            raise PowerCutError("the power was cut during this flash operation")

    def _check(self, offset: int, count: int) -> None:
        if self._off:
            raise PowerCutError("the flash has no power")
        if offset < 0 or count < 0 or offset + count > self.size:
            raise ValueError(f"{count} bytes at {offset:#x} are not within a flash of {self.size:#x}")


def _and(old: bytes, new: bytes) -> bytes:
    return (int.from_bytes(old, "little") & int.from_bytes(new, "little")).to_bytes(len(new), "little")


def _mapped(path: Path, size: int) -> mmap.mmap:
    if not path.exists():
        path.write_bytes(bytes([_BLANK]) * size)
    elif path.stat().st_size != size:
        raise ValueError(f"{path} has {path.stat().st_size} bytes and is no flash of {size}")
    descriptor = os.open(path, os.O_RDWR)
    try:
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)
