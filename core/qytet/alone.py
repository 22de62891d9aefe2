"""One process at a time in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

__all__ = ["alone"]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time into the block; the next waits, and a killed one lets go by itself."""
    with ExitStack() as stack:
        with suppress(OSError):  # it is not there yet, or lies on a file system that knows no such locks
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
