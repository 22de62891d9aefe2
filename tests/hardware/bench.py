"""Puts files onto a simulated board's flash, and reads them back, as a bench with a cable would."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from littlefs import LittleFS, UserContext

from qytet_simulators.hardware.chip import data_partition
from qytet_simulators.hardware.flash import FlashFile

BLOCK = 4096


class _OnFlash(UserContext):
    """littlefs's view of the partition, straight on the flash file."""

    def __init__(self, flash: FlashFile) -> None:
        super().__init__(0)
        self.flash = flash
        self.offset, self.size = data_partition(flash)

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        return bytearray(self.flash.read(self.offset + block * BLOCK + off, size))

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
        self.flash.write(self.offset + block * BLOCK + off, bytes(data))
        return 0

    def erase(self, cfg: Any, block: int) -> int:
        self.flash.erase(self.offset + block * BLOCK, BLOCK)
        return 0

    def sync(self, cfg: Any) -> int:
        return 0


@contextmanager
def filesystem(flash: FlashFile, fresh: bool = False) -> Iterator[LittleFS]:
    """The board's files; the board must be off. `fresh` makes a new file system first."""
    context = _OnFlash(flash)
    files = LittleFS(
        context,
        mount=False,
        block_size=BLOCK,
        block_count=context.size // BLOCK,
        read_size=32,
        prog_size=32,
        lookahead_size=32,
        cache_size=128,
    )
    if fresh:
        files.format()
    files.mount()
    try:
        yield files
    finally:
        files.unmount()


def install(flash: FlashFile, files: Mapping[str, str]) -> None:
    """A new file system with these files."""
    with filesystem(flash, fresh=True) as there:
        for name, text in files.items():
            with there.open(name, "w") as file:
                file.write(text)
