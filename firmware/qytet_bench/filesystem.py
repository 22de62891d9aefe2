"""A littlefs image as the board's MicroPython mounts it: exactly as large as its partition."""

from collections.abc import Mapping
from typing import Any

from littlefs import LittleFS, LittleFSError

from qytet.errors import InputError

__all__ = ["BLOCK", "DATA_AT", "image", "read", "size_for"]

BLOCK = 4096
"""Bytes of an erase block of the flash, and of littlefs."""
DATA_AT = 0x200000
"""Where stock MicroPython images for ESP32, S3 and C3 begin their last partition, which goes to the flash's end
(ports/esp32/partitions-4MiB.csv; esp32 `Partition` extends it to the physical size)."""
_BLOCKS_AT_LEAST = 32
# As MicroPython's VfsLfs2 on ESP32 (readsize 32, progsize 32, lookahead 32; its cache is 4 times progsize). The cache
# limits what is kept within a directory's block: an image made with a larger one could not be read there.
_GEOMETRY = {"block_size": BLOCK, "read_size": 32, "prog_size": 32, "lookahead_size": 32, "cache_size": 128}
_ERROR_NO_SPACE = -28


def size_for(flash_size: int) -> int:
    """Bytes of the file system on a chip whose flash has that many. Raises InputError if there is no room."""
    if flash_size <= DATA_AT:
        raise InputError(
            f"The flash has only {flash_size / 1048576:g} MB.",
            why="MicroPython's own part takes the first 2 MB, which leaves nothing for the node's readings.",
            do="Use a module with 4 MB or more.",
        )
    return flash_size - DATA_AT


def image(size: int, files: Mapping[str, bytes]) -> bytes:
    """`size` bytes which hold these files (absolute paths). Raises InputError if they do not fit."""
    if size % BLOCK or size < BLOCK * _BLOCKS_AT_LEAST:
        raise InputError(
            f"A file system of {size} bytes cannot be.",
            why=f"It is made of blocks of {BLOCK} bytes, and needs {_BLOCKS_AT_LEAST} of them.",
        )
    chip = _Memory(bytearray(b"\xff" * size))
    system = LittleFS(chip, mount=False, block_count=size // BLOCK, **_GEOMETRY)  # type: ignore[arg-type]
    try:
        system.format()
        system.mount()
        for name, content in sorted(files.items()):
            system.makedirs(name.rpartition("/")[0] or "/", exist_ok=True)
            with system.open(name, "wb") as file:
                file.write(content)
        system.makedirs("/data", exist_ok=True)
        system.unmount()
    except LittleFSError as error:
        if error.code != _ERROR_NO_SPACE:
            raise
        total = sum(map(len, files.values()))
        raise InputError(f"{total} bytes of files do not fit into a file system of {size}.") from error
    return bytes(chip.content)


def read(content: bytes) -> dict[str, bytes]:
    """The files of an image by absolute path. Raises InputError for what is no littlefs."""
    chip = _Memory(bytearray(content))
    system = LittleFS(chip, mount=False, block_count=len(content) // BLOCK, **_GEOMETRY)  # type: ignore[arg-type]
    try:
        system.mount()
        found = {}
        for folder, _, names in system.walk("/"):
            for name in names:
                path = f"{folder.rstrip('/')}/{name}"
                with system.open(path, "rb") as file:
                    found[path] = file.read()
        system.unmount()
    except LittleFSError as error:
        raise InputError("This is no file system of a node.", why=str(error)) from error
    return found


class _Memory:
    """A chip in memory. (littlefs's own writes what it programs, secrets too, to the log.)"""

    def __init__(self, content: bytearray) -> None:
        self.content = content

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:  # noqa: ARG002
        start = block * BLOCK + off
        return self.content[start : start + size]

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:  # noqa: ARG002
        start = block * BLOCK + off
        self.content[start : start + len(data)] = data
        return 0

    def erase(self, cfg: Any, block: int) -> int:  # noqa: ARG002
        self.content[block * BLOCK : (block + 1) * BLOCK] = b"\xff" * BLOCK
        return 0

    def sync(self, cfg: Any) -> int:  # noqa: ARG002
        return 0
