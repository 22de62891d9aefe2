"""File operations of which a power cut leaves the old state or the new one."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qytet.errors import InputError

__all__ = ["link", "locked", "make_folder", "remove", "rename", "sync", "write"]


def _nothing(_what: str) -> None:
    pass


before: Callable[[str], None] = _nothing
"""Called before each operation that changes the disk; tests cut the power here."""


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a file whole, and wait until it is on the disk."""
    partial = path.with_name(path.name + ".partial")
    before(f"write {partial.name}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    rename(partial, path)


def link(path: Path, target: str) -> None:
    """Let the symbolic link `path` lead to `target`, replacing the one that is there."""
    partial = path.with_name(path.name + ".partial")
    before(f"link {path.name}")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    rename(partial, path)


def rename(old: Path, new: Path) -> None:
    """Rename within a file system, and wait until the folder is on the disk."""
    before(f"rename {new.name}")
    old.replace(new)
    _sync_folder(new.parent)


def make_folder(path: Path, mode: int = 0o755) -> None:
    """Make a folder that is not there yet."""
    before(f"mkdir {path.name}")
    path.mkdir(mode=mode, parents=True, exist_ok=True)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all it holds; nothing there is fine."""
    before(f"remove {path.name}")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync() -> None:
    """Wait until everything that was written is on the disk."""
    before("sync")
    os.sync()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that updates and the guard share. Raises InputError if somebody else holds it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "An update is under way.", why=f"{path} is locked.", do="Wait until it is done."
            ) from None
        yield


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
