"""A PostgreSQL cluster on disk: how it is made, what version made it, and who seems to be running it."""

import contextlib
import secrets
import shutil
import subprocess
from pathlib import Path

import psutil

from qytet.embedded._errors import DataFolderError, StartError
from qytet.embedded._folder import sync_folder, write_private
from qytet.embedded._place import Place

SUPERUSER = "postgres"
_INIT_DEADLINE = 300  # s; a second or two on a laptop, longer on a memory card


def ensure_cluster(place: Place, password_file: Path, major: int) -> Path:
    """Return the cluster of the place, made now if there is none; its version is checked.

    It is made under another name and renamed when complete, so that an interruption leaves no half cluster.
    """
    cluster = place.folder / "cluster"
    if not cluster.exists():
        _make(place, cluster, password_file)
    _check(cluster, major)
    return cluster


def running_pid(cluster: Path) -> int | None:
    """Return the pid of a live server on this cluster, or None; its command line tells a recycled pid."""
    try:
        pid = int((cluster / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        process = psutil.Process(pid)
        ours = str(cluster) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return pid if ours else None


def is_ready(cluster: Path, pid: int) -> bool:
    """Tell whether the server `pid` has declared itself ready in its pid file (line 8, see miscadmin.h)."""
    with contextlib.suppress(OSError, IndexError, UnicodeDecodeError):
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8").split("\n")
        return lines[0].strip() == str(pid) and lines[7].strip() == "ready"
    return False


def read_password(password_file: Path) -> str:
    """Return the superuser's password, or raise DataFolderError when the file is gone."""
    try:
        return password_file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise DataFolderError(
            password_file,
            f"The database's password cannot be read from {password_file}.",
            why=str(error),
            do="Put the file back, or remove the database and its data with `make clean`.",
        ) from error


def _make(place: Place, cluster: Path, password_file: Path) -> None:
    partial = place.folder / "cluster.partial"
    shutil.rmtree(partial, ignore_errors=True)  # ours, left by an interrupted initialisation
    partial.mkdir(mode=0o700)
    place.identity.give(partial)
    password = secrets.token_urlsafe(24)
    write_private(password_file, password + "\n")
    handed = place.folder / "initial-password"  # initdb reads it as the unprivileged user
    write_private(handed, password + "\n")
    place.identity.give(handed)
    try:
        _initdb(place, partial, handed)
    finally:
        handed.unlink()
    partial.replace(cluster)
    sync_folder(place.folder)


def _initdb(place: Place, partial: Path, password_file: Path) -> None:
    command: list[str | Path] = [
        place.programs / "bin" / "initdb",
        *("--pgdata", partial, "--username", SUPERUSER, "--pwfile", password_file),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--data-checksums", "--no-instructions"),
        # The same order and case rules on every machine, whatever locales it has.
        *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
    ]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        cwd="/",
        timeout=_INIT_DEADLINE,
        check=False,
        start_new_session=True,
        **place.identity.as_popen(),
    )
    if done.returncode:
        raise StartError(
            f"A database could not be made in {partial.parent}.",
            do="Check the free space and the permissions of that folder.",
            log_tail=(done.stdout + done.stderr)[-2000:].strip(),
        )


def _check(cluster: Path, major: int) -> None:
    try:
        found = (cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    except PermissionError as error:
        raise DataFolderError(
            cluster,
            f"The database in {cluster} cannot be read.",
            why=f"{error}: another user made it.",
            do="Run as that user or as root, or remove it with `make clean`.",
        ) from error
    except OSError as error:
        raise DataFolderError(
            cluster,
            f"The folder {cluster} is not a whole database.",
            why="It has no PG_VERSION: it was copied in part, or it is something else.",
            do="Restore it from a copy, or remove it with `make clean` to begin anew.",
        ) from error
    if found != str(major):
        raise DataFolderError(
            cluster,
            f"The database in {cluster} was made by PostgreSQL {found}, and this is PostgreSQL {major}.",
            why="A server opens only the data of its own major version.",
            do=f"Dump it with PostgreSQL {found} (pg_dump) and load it here, or remove it with `make clean`.",
        )
