"""Where a cluster and its programs lie: in the project's folder, or where an unprivileged user reaches them.

When root owns the project and nobody else may enter it (say, below /root), the server's user can neither run
the programs of the virtual environment nor open a cluster there. Then both go to a private folder such as
/var/lib/qytet/NAME-HASH; the file `location` in the data folder leads there, and the file `owner` leads back.
"""

import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from qytet.embedded._errors import DataFolderError
from qytet.embedded._privileges import Identity, server_identity

PRIVATE_ROOTS = (Path("/var/lib/qytet"), Path("/var/tmp/qytet"))  # noqa: S108  owner and mode are checked
_PROGRAM_PARTS = ("bin/initdb", "bin/postgres", "lib", "share")  # what a server needs of its installation


@dataclass(frozen=True, slots=True)
class Place:
    """The folder that holds `cluster`, the installation to run, and whom to run it as."""

    folder: Path
    programs: Path
    identity: Identity


def find_place(data_dir: Path, programs: Path, version: str) -> Place:
    """Return the place for the data folder, making a private one when the server's user needs it.

    `programs` is the installation (bin, lib, share) and `version` its exact version.
    """
    folder = private_folder(data_dir) or data_dir
    identity = server_identity(folder / "cluster")
    if folder == data_dir and not identity.can_enter(data_dir):
        folder = _make_private_folder(data_dir, identity)
    if not identity.can_run(programs / "bin" / "postgres"):
        if folder == data_dir:
            folder = _make_private_folder(data_dir, identity)
        programs = _copy_programs(programs, folder / f"programs-{version}")
    return Place(folder, programs, identity)


def private_folder(data_dir: Path) -> Path | None:
    """Return the private folder that belongs to the data folder, following the folder when it was moved.

    Raises DataFolderError for a copy of a data folder: the database stays with the original.
    """
    folder = _target(data_dir)
    if folder is None:
        return None
    try:
        owner = Path((folder / "owner").read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return None
    if owner != data_dir and _target(owner) == folder:
        raise DataFolderError(
            data_dir,
            f"The folder {data_dir} is a copy without its database.",
            why=f"The database lies in {folder} and belongs to {owner}.",
            do=f"Delete {data_dir} to begin anew there, or use the original.",
        )
    if owner != data_dir:
        (folder / "owner").write_text(f"{data_dir}\n", encoding="utf-8")
    return folder


def _target(data_dir: Path) -> Path | None:
    try:
        return Path((data_dir / "location").read_text(encoding="utf-8").strip())
    except OSError:
        return None


def remove_private_folder(data_dir: Path) -> None:
    """Delete the private folder of the data folder, if there is one."""
    folder = private_folder(data_dir)
    if folder is not None:
        shutil.rmtree(folder)


def _make_private_folder(data_dir: Path, identity: Identity) -> Path:
    if (data_dir / "cluster").exists():
        raise DataFolderError(
            data_dir,
            f"The database in {data_dir} cannot be reached by the user that has to run it.",
            why="A folder above it became private to root after the database was made.",
            do="Let others traverse the folders above it (chmod o+x), or remove it with `make clean`.",
        )
    name = f"{data_dir.name}-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]}"
    refusals: list[str] = []
    for root in PRIVATE_ROOTS:
        try:
            folder = _claim(root, name, data_dir)
        except OSError as error:
            refusals.append(str(error))
            continue
        if identity.can_enter(folder):
            (data_dir / "location").write_text(f"{folder}\n", encoding="utf-8")
            return folder
        shutil.rmtree(folder)
        refusals.append(f"{root} cannot be entered by the server's user")
    raise DataFolderError(
        data_dir,
        f"There is no folder that PostgreSQL's user can reach for the data of {data_dir}.",
        why="; ".join(refusals),
        do="Move the project to a folder that others may traverse, or run as a normal user.",
    )


def _claim(root: Path, name: str, data_dir: Path) -> Path:
    if not root.exists():
        root.mkdir(parents=True)
        root.chmod(0o711)
    found = root.lstat()
    # In a folder that all may write, somebody could have laid a trap under this name before us.
    if root.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{root} exists, but is not a folder that only we can write")
    folder = root / name
    while folder.exists():  # of a data folder that was here before: it may have been moved, so it is not ours
        folder = root / f"{name}-{secrets.token_hex(4)}"
    folder.mkdir()
    folder.chmod(0o711)
    (folder / "owner").write_text(f"{data_dir}\n", encoding="utf-8")
    return folder


def _copy_programs(programs: Path, target: Path) -> Path:
    """Copy what a server needs, once; return the installation within the copy."""
    package = programs.parent
    copied = target / package.name / programs.name
    if target.exists():
        return copied
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for part in _PROGRAM_PARTS:
        _copy(programs / part, partial / package.name / programs.name / part)
    # The programs look for these libraries of the wheel by a path relative to their own.
    for libraries in (Path(f"{package.name}.libs"), Path(package.name, ".dylibs")):
        if (package.parent / libraries).exists():
            _copy(package.parent / libraries, partial / libraries)
    _open_to_all(partial)
    partial.replace(target)
    return copied


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


def _open_to_all(folder: Path) -> None:
    """Let everybody read what is no secret: a wheel may have been unpacked under a strict umask."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(
                path.stat().st_mode | (0o055 if path.is_dir() or path.stat().st_mode & 0o100 else 0o044)
            )
