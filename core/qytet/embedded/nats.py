"""The embedded broker: `nats-server` from a wheel, speaking MQTT 3.1.1, with JetStream on disk behind it.

The data folder holds `lock`, `port`, `users.json` (passwords, mode 0600), the generated `nats.conf`
(mode 0600), `nats.log` and `jetstream`. The broker listens on the loopback interface only.

What survives: JetStream writes a message to its file before the PUBACK, so `kill -9` of the broker loses
nothing. A power cut may lose what was written within the last SYNC_INTERVAL (see `_nats_config`); devices
keep their records until the server says they are stored, so even that is resent. (`sync_interval: always`
would cost a flush of the disk per message.)
"""

import shutil
import signal
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from qytet.embedded._errors import EmbeddedError, MissingServerError
from qytet.embedded._folder import prepare_folder, write_private
from qytet.embedded._lock import FolderLock
from qytet.embedded._mqtt_probe import mqtt_answers
from qytet.embedded._nats_config import DEFAULT_USERS, ensure_users, nats_configuration, read_users
from qytet.embedded._process import Child, Progress, spawn
from qytet.embedded.ports import LOOPBACK, choose_port, is_free

__all__ = ["EmbeddedNats"]

_STOP = ((signal.SIGTERM, 15.0),)
_OUR_NAMES = frozenset({"lock", "port", "users.json", "nats.conf", "nats.log", "nats.log.1", "jetstream"})


class EmbeddedNats:
    """A broker on `data_dir`; a context manager, or `start()` and `stop()`.

    `port` None takes the port that the folder remembers, or a free one. `ack_wait` (s) is how long an
    unacknowledged message waits before it is sent again. `max_ack_pending` counts per subscription, twice
    for one that ends in `#`; the broker refuses a session whose sum exceeds 65,535. `max_store` is in bytes.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        users: Sequence[str] = (),
        ack_wait: float = 30.0,
        max_ack_pending: int = 8_000,
        max_store: int = 8 * 1024**3,
        deadline: float = 60.0,
        progress: Progress | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._wanted_port = port
        self._users = tuple(dict.fromkeys((*DEFAULT_USERS, *users)))
        self._ack_wait = ack_wait
        self._max_ack_pending = max_ack_pending
        self._max_store = max_store
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
        """Start the broker and wait until it answers MQTT; also after `kill()`, on the same port.

        Raises AlreadyRunningError, PortTakenError, DataFolderError, MissingServerError or StartError.
        """
        prepare_folder(self.data_dir, _OUR_NAMES, mode=0o700)
        self._lock.acquire()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the broker in order; sessions and queued messages stay on disk. Idempotent."""
        child, self._child = self._child, None
        try:
            if child is not None:
                child.stop(_STOP)
        finally:
            self._lock.release()

    def kill(self) -> None:
        """SIGKILL the broker as a crash would."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
        self._lock.release()

    def remove(self) -> None:
        """Stop the broker and delete its data folder."""
        self.stop()
        if self.data_dir.exists():
            prepare_folder(self.data_dir, _OUR_NAMES, mode=0o700)
            self._lock.acquire()
            try:
                shutil.rmtree(self.data_dir)
            finally:
                self._lock.release()

    @property
    def port(self) -> int:
        """The MQTT port that the broker listens on, or listened on last."""
        if self._port is None:
            raise EmbeddedError("The broker has not been started.", do="Call start() first.")
        return self._port

    def url(self, user: str = "ingest") -> str:
        """Return `mqtt://user:password@host:port` for one of the users: never log it."""
        return f"mqtt://{quote(user)}:{quote(self.password(user), safe='')}@{LOOPBACK}:{self.port}"

    def password(self, user: str) -> str:
        """Return a user's password."""
        known = read_users(self.data_dir)
        if user not in known:
            raise EmbeddedError(f"The broker has no user {user!r}.", why=f"It knows {', '.join(known)}.")
        return known[user]

    @property
    def pid(self) -> int | None:
        """The broker's process id, or None while it is stopped."""
        return self._child.pid if self._child else None

    @property
    def returncode(self) -> int | None:
        """None while the broker runs (or was never started); else how it ended."""
        return self._child.returncode if self._child else None

    def _start(self) -> None:
        program = _program()
        passwords = ensure_users(self.data_dir, self._users)
        wanted = self._wanted_port
        if self._port is not None and is_free(self._port):
            wanted = self._port
        self._port = choose_port("The broker", wanted, self.data_dir / "port")
        configuration = self.data_dir / "nats.conf"
        text = nats_configuration(
            self.data_dir / "jetstream",
            self.port,
            {user: passwords[user] for user in self._users},
            ack_wait=self._ack_wait,
            max_ack_pending=self._max_ack_pending,
            max_store=self._max_store,
        )
        write_private(configuration, text)
        child = spawn("The broker", [program, "-c", configuration], log=self.data_dir / "nats.log")
        self._child = child
        child.wait_until(self._answers, self._deadline, self._progress)

    def _answers(self) -> bool:
        return mqtt_answers(LOOPBACK, self.port, "ingest", self.password("ingest"))


def _program() -> Path:
    program = Path(sysconfig.get_path("scripts")) / "nats-server"
    if not program.exists():
        raise MissingServerError(
            "The embedded broker is not installed.",
            why=f"{program} does not exist.",
            do="Install qytet[embedded], or set the URL of a broker of your own.",
        )
    return program
