"""Secret files: written whole or not at all, readable by their owner only, owned by whom the services run as."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qytet.errors import InputError

__all__ = ["CONTAINER_ID", "Owner", "disk_errors", "make_folder", "service_owner", "write_secret"]

CONTAINER_ID = 10001  # uid and gid of the services when root deploys: no service runs as root


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom the services run as, on the host and in the containers: Compose keeps a secret file's owner."""

    uid: int
    gid: int


def service_owner() -> Owner:
    """The person who deploys; for root an id without rights."""
    if os.geteuid() == 0:
        return Owner(CONTAINER_ID, CONTAINER_ID)
    return Owner(os.geteuid(), os.getegid())


def make_folder(path: Path, owner: Owner) -> None:
    """Make a folder (mode 0700) and those above it that are missing."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(path, owner.uid, owner.gid)


def write_secret(path: Path, content: bytes, owner: Owner) -> None:
    """Replace a file (mode 0600) in one step; after a power cut it is the old one or the new one."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if os.geteuid() == 0:
            os.fchown(descriptor, owner.uid, owner.gid)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    partial.replace(path)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"The deployment's files below {folder} cannot be written or read.",
            why=str(error),
            do="Run the command as the user who made them, or mend the permissions.",
        ) from error
