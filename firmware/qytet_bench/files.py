"""Files that the bench writes: whole or not at all, and only for their owner if they hold secrets."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qytet.errors import InputError

__all__ = ["write_new", "write_once", "write_whole"]

_BINARY: int = getattr(os, "O_BINARY", 0)  # on Windows line ends would be changed without it


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Make a file with that mode from its first moment, on disk when this returns. Raises OSError, and leaves none."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def write_once(path: Path, content: bytes, mode: int) -> None:
    """Make a file, whole from its first moment, unless it is there. Raises FileExistsError, or another OSError."""
    with _beside(path, content, mode) as partial:
        if os.name != "posix":
            partial.rename(path)  # on Windows it refuses a name that is taken
            return
        try:
            path.hardlink_to(partial)
        except FileExistsError:
            raise
        except OSError:  # a stick (FAT) and some shares know no links
            write_new(path, content, mode)


def write_whole(path: Path, content: bytes, *, secret: bool) -> None:
    """Replace a file in one step (mode 0600 if it is secret), and make its folder. Raises InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _beside(path, content, 0o600 if secret else 0o666) as partial:
            partial.replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written.", why=str(error.strerror), do="Choose another folder, or make room."
        ) from error


@contextmanager
def _beside(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """The content in a file beside its place, which the block gives its name."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        write_new(partial, content, mode)
        yield partial
    finally:
        partial.unlink(missing_ok=True)
    with suppress(OSError):  # Windows opens no folders, and some disks of the network cannot sync one
        _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """The names in it are on disk, too, when this returns."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
