"""A data folder of ours: made on demand, never mistaken for somebody else's, its secrets readable by one."""

import os
from collections.abc import Set as AbstractSet
from pathlib import Path

from qytet.embedded._errors import DataFolderError


def prepare_folder(data_dir: Path, ours: AbstractSet[str], mode: int) -> None:
    """Make the folder, or make sure that an existing one holds only files that we put there."""
    try:
        if not data_dir.exists():
            data_dir.mkdir(parents=True)
            data_dir.chmod(mode)  # whatever the umask
        found = {entry.name.removesuffix(".partial") for entry in data_dir.iterdir()}
    except OSError as error:
        raise DataFolderError(
            data_dir,
            f"The data folder {data_dir} cannot be used.",
            why=str(error),
            do="Choose a folder that you may write, or mend its permissions.",
        ) from error
    foreign = sorted(found - ours)
    if foreign:
        raise DataFolderError(
            data_dir,
            f"The folder {data_dir} is not a data folder of ours.",
            why=f"It holds {', '.join(foreign[:5])}.",
            do="Choose an empty or a new folder.",
        )


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step and for good, readable by its owner only."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
