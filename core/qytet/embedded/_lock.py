"""One owner a data folder: an advisory lock that names its holder and vanishes with it."""

import contextlib
import fcntl
import os
from pathlib import Path

from qytet.embedded._errors import AlreadyRunningError


class FolderLock:
    """An exclusive `flock` on the file `lock` inside a folder.

    The kernel drops it when the process dies, however it dies, so it is never stale. It excludes a second
    holder within the same process too, since each object opens the file anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "lock"
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock at once, or raise AlreadyRunningError with the holder's pid."""
        if self._fd is not None:
            raise AlreadyRunningError(self._folder, os.getpid())
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            raise AlreadyRunningError(self._folder, self._holder()) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def _holder(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            return int(self._path.read_text(encoding="ascii"))
        return None
