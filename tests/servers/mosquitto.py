"""Real Mosquitto from Debian's packages, unpacked into the cache (or the installed one), configured as in production.

Persistent sessions, nothing limited, users with passwords and an ACL: a device writes below its own name,
`ingest` reads and writes all, `simulator` may say what a device may say. After `kill()` and `start()` the
broker has what its last autosave wrote: the contract's `stored` mark is what a device trusts, not the PUBACK.
"""

import base64
import hashlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from qytet.embedded._mqtt_probe import mqtt_answers
from qytet.embedded._process import Child, spawn
from qytet.embedded.ports import LOOPBACK, free_port
from tests.servers import apt
from tests.servers.cache import cached, quiet
from tests.servers.certificates import Authority

_PACKAGES = ("mosquitto", "libmosquitto1", "libcjson1", "libdlt2", "libwrap0")
_ROUNDS = 101  # of PBKDF2; mosquitto's own default

_CONFIGURATION = """\
user {user}
per_listener_settings false
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
persistence true
persistence_location {folder}/
autosave_interval 30
max_inflight_messages {max_inflight}
max_queued_messages 0
max_queued_bytes 2000000000
max_connections -1
set_tcp_nodelay true
sys_interval 0
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages false
listener {port} {host}
"""

_TLS = """\
listener {port} {host}
cafile {ca}
certfile {certificate}
keyfile {key}
require_certificate {required}
use_identity_as_username {required}
"""

_ACL = """\
pattern readwrite qytet/v1/+/%u/#

user ingest
topic readwrite qytet/v1/#

user simulator
topic write qytet/v1/+/+/birth
topic write qytet/v1/+/+/state
topic write qytet/v1/+/+/obs
topic write qytet/v1/+/+/hist
topic write qytet/v1/+/+/log
topic write qytet/v1/+/+/ack/+
topic readwrite qytet/v1/+/+/via/#
topic read qytet/v1/+/+/stored
topic read qytet/v1/+/+/cmd/+
"""


def prepare(report: Callable[[str], None] = quiet) -> tuple[Path, dict[str, str]]:
    """Return the broker's program and the environment that it needs."""
    installed = shutil.which(
        "mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    )
    if installed:
        report(f"mosquitto: installed, {installed}")
        return Path(installed), {}
    root = cached("mosquitto", lambda target: apt.unpack(_PACKAGES, target), report)
    libraries = {str(path.parent) for path in root.rglob("*.so*")}
    return root / "usr/sbin/mosquitto", {"LD_LIBRARY_PATH": ":".join(sorted(libraries))}


class MosquittoServer:
    """A broker with a data folder of its own.

    `tls` adds a listener with a certificate of a private authority (`ca_file`, `tls_port`); `client_certificates`
    makes it demand a certificate instead of a password, whose common name is the user.
    """

    def __init__(
        self, *, tls: bool = False, client_certificates: bool = False, max_inflight: int = 20_000
    ) -> None:
        self._program, self._environment = prepare()
        self.folder = Path(tempfile.mkdtemp(prefix="qytet-mosquitto-"))
        self.port = free_port()
        self.tls_port = free_port() if tls or client_certificates else None
        self._client_certificates = client_certificates
        self._max_inflight = max_inflight
        self._passwords: dict[str, str] = {}
        self._child: Child | None = None
        self.authority = Authority(self.folder / "ca") if self.tls_port else None
        self.add_users(["ingest", "simulator"])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    @property
    def pid(self) -> int | None:
        """The broker's process, or None while it is stopped."""
        return self._child.pid if self._child else None

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that signed the broker's."""
        if self.authority is None:
            raise ValueError("this broker has no TLS listener")
        return self.authority.certificate

    def password(self, user: str) -> str:
        """A user's password."""
        return self._passwords[user]

    def url(self, user: str = "ingest", *, tls: bool = False) -> str:
        """The URL of the plain or the TLS listener for a user."""
        scheme, port = ("mqtts", self.tls_port) if tls else ("mqtt", self.port)
        return f"{scheme}://{user}:{self._passwords[user]}@{LOOPBACK}:{port}"

    def add_users(self, names: Iterable[str]) -> None:
        """Give each name (a device's, say) a password; a running broker reads them within moments."""
        for name in names:
            self._passwords.setdefault(name, secrets.token_urlsafe(12))
        lines = [f"{name}:{_hashed(password)}\n" for name, password in self._passwords.items()]
        (self.folder / "passwords").write_text("".join(lines))
        (self.folder / "passwords").chmod(0o600)
        if self.pid is not None:
            os.kill(self.pid, signal.SIGHUP)

    def wait_for_user(self, name: str) -> None:
        """Return when the running broker accepts the user."""
        assert self._child is not None, "the broker is stopped"
        self._child.wait_until(lambda: self._accepts(name), deadline=60)

    def start(self) -> Self:
        """Start on the same port and data, and wait until it answers."""
        (self.folder / "acl").write_text(_ACL)
        (self.folder / "acl").chmod(0o600)
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text(self._configuration())
        self._child = spawn(
            "Mosquitto",
            [self._program, "-c", configuration],
            log=self.folder / "log",
            environment={**os.environ, **self._environment},
        )
        self.wait_for_user("ingest")
        return self

    def stop(self) -> None:
        """Stop in order: it saves its sessions and queues."""
        child, self._child = self._child, None
        if child is not None:
            child.stop([(signal.SIGTERM, 30.0)])

    def kill(self) -> None:
        """SIGKILL; the data folder stays."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def remove(self) -> None:
        """Stop and delete the data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _accepts(self, name: str) -> bool:
        return mqtt_answers(LOOPBACK, self.port, name, self._passwords[name])

    def _configuration(self) -> str:
        text = _CONFIGURATION.format(
            user="root" if os.geteuid() == 0 else "mosquitto",  # only root changes its user, and need not
            folder=self.folder,
            max_inflight=self._max_inflight,
            port=self.port,
            host=LOOPBACK,
        )
        if self.authority is None:
            return text
        certificate, key = self.authority.issue("localhost", server=True)
        return text + _TLS.format(
            port=self.tls_port,
            host=LOOPBACK,
            ca=self.authority.certificate,
            certificate=certificate,
            key=key,
            required=str(self._client_certificates).lower(),
        )


def _hashed(password: str) -> str:
    """Return a password as mosquitto_passwd writes it: `$7$`, PBKDF2 with SHA-512."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
