"""Files that the bench writes: whole or not at all, and only for their owner if they hold secrets."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qytet.errors import InputError

__all__ = ["write_new", "write_once", "write_whole"]

_BINARY: int = getattr(os, "O_BINARY", 0)  # on Windows line ends would be changed without it


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Make a file with that mode from its first moment, on disk when this returns. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def write_once(path: Path, content: bytes, mode: int) -> None:
    """Make a file, whole from its first moment, unless it is there. Raises FileExistsError, or another OSError."""
    with _beside(path, content, mode) as partial:
        if os.name == "posix":
            path.hardlink_to(partial)
        else:
            partial.rename(path)  # on Windows it refuses a name that is taken


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
    """The content in a file beside its place, which the block gives its name; the name is on disk afterwards, too."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        write_new(partial, content, mode)
        yield partial
    finally:
        partial.unlink(missing_ok=True)
    if os.name == "posix":  # Windows opens no folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
