"""Lines of a file that another process is writing."""

from typing import BinaryIO

__all__ = ["whole_lines"]


def whole_lines(file: BinaryIO) -> list[bytes]:
    """The lines from here on that have their end; the file then stands behind the last of them.

    What is there is taken in one go and parted afterwards. Reading line by line would take the line that is
    being written for two: its first half ends where the file ends, its second half begins there.
    """
    found = file.read()
    end = found.rfind(b"\n") + 1
    file.seek(end - len(found), 1)
    return found[:end].splitlines(keepends=True)
