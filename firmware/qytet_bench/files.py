"""Files that the bench writes: whole or not at all, and only for their owner if they hold secrets."""

import os
import secrets
from pathlib import Path

from qytet.errors import InputError

__all__ = ["write_new", "write_whole"]

_BINARY: int = getattr(os, "O_BINARY", 0)  # on Windows line ends would be changed without it


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Make a file with that mode from its first moment, on disk when this returns. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def write_whole(path: Path, content: bytes, *, secret: bool) -> None:
    """Replace a file in one step (mode 0600 if it is secret), and make its folder. Raises InputError."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_new(partial, content, 0o600 if secret else 0o666)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written.", why=str(error.strerror), do="Choose another folder, or make room."
        ) from error
