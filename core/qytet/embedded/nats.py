"""The embedded broker: `nats-server` from a wheel, speaking MQTT 3.1.1, with JetStream on disk behind it.

The data folder holds `lock`, `port`, `users.json` (passwords, mode 0600), the generated `nats.conf`
(mode 0600), `nats.log` and `jetstream`. The broker listens on the loopback interface only.

What survives: JetStream writes a message to its file before the PUBACK, so `kill -9` of the broker loses
nothing. A power cut may lose what was written within the last SYNC_INTERVAL (see `_nats_config`); devices
keep their records until the server says they are stored, so even that is resent. (`sync_interval: always`
would cost a flush of the disk per message.)
"""

import signal
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import psutil

from qytet.embedded._errors import EmbeddedError, MissingServerError
from qytet.embedded._folder import write_private
from qytet.embedded._mqtt_probe import mqtt_answers
from qytet.embedded._nats_config import DEFAULT_USERS, ensure_users, nats_configuration, read_users
from qytet.embedded._process import Progress, end_orphan, spawn
from qytet.embedded._server import EmbeddedServer
from qytet.embedded.ports import LOOPBACK

__all__ = ["EmbeddedNats"]

_STOP = ((signal.SIGTERM, 15.0),)
_OUR_NAMES = frozenset(
    {"lock", "port", "users.json", "nats.conf", "nats.log", "nats.log.1", "nats.pid", "jetstream"}
)


class EmbeddedNats(EmbeddedServer):
    """A broker on `data_dir`; a context manager, or `start()` and `stop()`.

    `port` None takes the port that the folder remembers, or a free one. `ack_wait` (s) is how long an
    unacknowledged message waits before it is sent again. `max_ack_pending` counts per subscription, twice
    for one that ends in `#`; the broker refuses a subscription that brings the sum of its session above
    65,535: with 5,000 a session may have 13 (ingest has 12), or six that end in `#`. `max_store` is in bytes.
    """

    name = "The broker"
    folder_mode = 0o700
    our_names = _OUR_NAMES
    stop_signals = _STOP

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        users: Sequence[str] = (),
        ack_wait: float = 30.0,
        max_ack_pending: int = 5_000,
        max_store: int = 8 * 1024**3,
        deadline: float = 60.0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(data_dir, port, deadline, progress)
        self._users = tuple(dict.fromkeys((*DEFAULT_USERS, *users)))
        self._ack_wait = ack_wait
        self._max_ack_pending = max_ack_pending
        self._max_store = max_store

    def url(self, user: str = "ingest") -> str:
        """Return `mqtt://user:password@host:port` for one of the users: never log it."""
        return f"mqtt://{quote(user)}:{quote(self.password(user), safe='')}@{LOOPBACK}:{self.port}"

    def password(self, user: str) -> str:
        """Return a user's password."""
        known = read_users(self.data_dir)
        if user not in known:
            raise EmbeddedError(f"The broker has no user {user!r}.", why=f"It knows {', '.join(known)}.")
        return known[user]

    def _launch(self) -> None:
        program = _program()
        _end_leftover(self.data_dir / "nats.pid")
        passwords = ensure_users(self.data_dir, self._users)
        configuration = self.data_dir / "nats.conf"
        text = nats_configuration(
            self.data_dir,
            self._choose_port(),
            {user: passwords[user] for user in self._users},
            ack_wait=self._ack_wait,
            max_ack_pending=self._max_ack_pending,
            max_store=self._max_store,
        )
        write_private(configuration, text)
        self._child = spawn(self.name, [program, "-c", configuration], log=self.data_dir / "nats.log")
        self._child.wait_until(self._answers, self._deadline, self._progress)

    def _answers(self) -> bool:
        return mqtt_answers(LOOPBACK, self.port, "ingest", self.password("ingest"))


def _end_leftover(pid_file: Path) -> None:
    """End a broker whose parent died (its command line holds our folder); we hold the folder's lock."""
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
        ours = str(pid_file.with_name("nats.conf")) in psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return
    if ours:
        end_orphan(pid, signal.SIGTERM, deadline=15)


def _program() -> Path:
    program = Path(sysconfig.get_path("scripts")) / "nats-server"
    if not program.exists():
        raise MissingServerError(
            "The embedded broker is not installed.",
            why=f"{program} does not exist.",
            do="Install qytet[embedded], or set the URL of a broker of your own.",
        )
    return program
