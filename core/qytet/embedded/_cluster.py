"""A PostgreSQL cluster on disk: how it is made, what version made it, and who seems to be running it."""

import contextlib
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil

from qytet.embedded._errors import DataFolderError, StartError
from qytet.embedded._folder import sync_folder, write_private
from qytet.embedded._place import Place
from qytet.embedded._process import death_wrapper, end_orphan

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
    """Return the pid of a live server on this cluster, or None.

    The pid in the file may have gone to another program since, or to another server: the working directory
    tells, since PostgreSQL's is its cluster.
    """
    try:
        pid = int((cluster / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        ours = alive and Path(process.cwd()).samefile(cluster)
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return pid if ours else None


def end_leftover(cluster: Path) -> None:
    """End a server whose parent died, and drop its pid file; only for the holder of the folder's lock."""
    pid = running_pid(cluster)
    if pid is not None:
        end_orphan(pid, signal.SIGINT, deadline=30)
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def is_ready(cluster: Path, pid: int | None) -> bool:
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
    _clear(partial)
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


def _clear(partial: Path) -> None:
    """Delete what an interrupted initialisation left; its last process may still be writing for a moment."""
    for _ in range(50):
        shutil.rmtree(partial, ignore_errors=True)
        if not partial.exists():
            return
        time.sleep(0.1)
    raise DataFolderError(
        partial,
        f"The half-made database in {partial} cannot be deleted.",
        why="Another program uses it, or another user made it.",
        do="Delete the folder by hand.",
    )


def _initdb(place: Place, partial: Path, password_file: Path) -> None:
    command: list[str | Path] = [
        *death_wrapper(signal.SIGKILL),
        place.programs / "bin" / "initdb",
        *("--pgdata", partial, "--username", SUPERUSER, "--pwfile", password_file),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--data-checksums", "--no-instructions"),
        # The same order and case rules on every machine, whatever locales it has.
        *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
    ]
    try:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
            timeout=_INIT_DEADLINE,
            check=True,
            start_new_session=True,
            **place.identity.as_popen(),
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise StartError(
            f"A database could not be made in {partial.parent}.",
            why=str(error).replace(str(command), "initdb"),
            do="Check the free space and the permissions of that folder.",
            log_tail=str(error.output or "")[-2000:].strip(),
        ) from error


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
