"""Real TimescaleDB (Apache-2 edition) on PostgreSQL 17: Debian's packages of trixie, unpacked and run by chroot.

Nothing is mounted or installed, and no container engine is needed; but chroot needs root. About 20 s with
the download, kept in the cache, then under a second a start.
"""

import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from qytet.embedded import StartError, _cluster
from qytet.embedded._process import Child, spawn
from qytet.embedded.ports import LOOPBACK, free_port
from qytet.embedded.postgres import STILL_IN_USE
from tests.servers import apt
from tests.servers.cache import UnavailableError, cached, quiet

_PACKAGES = "dash,coreutils,util-linux,postgresql-17,postgresql-17-timescaledb"
_BIN = "/usr/lib/postgresql/17/bin"
_USER = 101  # uid and gid inside; chosen here, unknown outside
_CHROOT = shutil.which("chroot", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") or "chroot"

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "dynamic_shared_memory_type": "mmap",  # there is no /dev/shm inside
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    # Tests kill processes, not machines: what a killed process has written stays in the page cache, so
    # nothing is lost without fsync. Benchmarks turn it on by `settings`.
    "fsync": "off",
}


def prepare(report: Callable[[str], None] = quiet) -> Path:
    """Return the unpacked root folder, downloading it first if the cache has none."""
    if os.geteuid() != 0:
        raise UnavailableError("real TimescaleDB runs by chroot, which needs root")
    root = cached("timescale-trixie-17", _unpack, report)
    for left in (root / "srv").iterdir():  # by a test run that was killed
        if not psutil.pid_exists(int(left.name.split("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    return root


class TimescaleServer:
    """A TimescaleDB server with a cluster of its own; `settings` win over ours."""

    def __init__(self, settings: Mapping[str, str] | None = None, *, initdb: tuple[str, ...] = ()) -> None:
        self._root = prepare()
        self._settings = {**_SETTINGS, **(settings or {})}
        self._initdb = initdb
        self._inside = f"/srv/{os.getpid()}-{secrets.token_hex(4)}"
        self._folder = self._root / self._inside.removeprefix("/")
        self._password = secrets.token_urlsafe(18)
        self._port = free_port()
        self._child: Child | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    @property
    def cluster(self) -> Path:
        """The cluster's folder as seen from outside."""
        return self._folder / "cluster"

    @property
    def admin_url(self) -> str:
        """The URL of the maintenance database."""
        return self.url_for("postgres")

    @property
    def pid(self) -> int | None:
        """The postmaster, or None while it is stopped."""
        return self._child.pid if self._child else None

    def url_for(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql://postgres:{self._password}@{LOOPBACK}:{self._port}/{database}"

    def start(self) -> Self:
        """Start (the first time: make a cluster) and wait until ready; the port stays the same."""
        if not self.cluster.exists():
            self._make()
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)
        command = [f"{_BIN}/postgres", "-D", f"{self._inside}/cluster", "-p", str(self._port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        # setpriv inside once more: the change of user by chroot cleared the first death signal.
        inside = ["/usr/bin/setpriv", "--pdeathsig", "INT", "--", *command]
        deadline = time.monotonic() + 60
        while True:
            self._child = child = spawn("TimescaleDB", self._chroot(inside), log=self._folder / "log")
            try:
                child.wait_until(partial(_cluster.is_ready, self.cluster, child.pid), deadline=180)
            except StartError as error:
                # The workers of a killed server need a moment to notice that it is gone.
                if STILL_IN_USE not in error.log_tail or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return self

    def stop(self) -> None:
        """Stop in order."""
        child, self._child = self._child, None
        if child is not None:
            child.stop([(signal.SIGINT, 30.0)])

    def kill(self) -> None:
        """SIGKILL the postmaster."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def remove(self) -> None:
        """Stop and delete the cluster."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self) -> None:
        self._folder.mkdir(mode=0o700)
        os.chown(self._folder, _USER, _USER)
        (self._folder / "password").write_text(self._password)
        os.chown(self._folder / "password", _USER, _USER)
        command = [f"{_BIN}/initdb", "-D", f"{self._inside}/cluster", "-U", "postgres", "--no-sync"]
        command += ["--auth", "scram-sha-256", "--pwfile", f"{self._inside}/password", "--encoding", "UTF8"]
        command += ["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
        apt.run(self._chroot([*command, *self._initdb]))

    def _chroot(self, command: list[str]) -> list[str]:
        environment = ["/usr/bin/env", "-i", f"PATH={_BIN}:/usr/bin", "LC_ALL=C"]
        return [_CHROOT, f"--userspec={_USER}:{_USER}", str(self._root), *environment, *command]


def _unpack(target: Path) -> None:
    if shutil.which("mmdebstrap") is None:
        apt.install("mmdebstrap")
    root = target.with_name(target.name + ".root")  # mmdebstrap wants to make the folder itself
    shutil.rmtree(root, ignore_errors=True)
    options = ["--quiet", "--mode=root", "--variant=extract", f"--include={_PACKAGES}"]
    apt.run(["mmdebstrap", *options, "trixie", str(root), apt.mirror()])
    _complete(root)
    target.rmdir()
    root.replace(target)


def _complete(root: Path) -> None:
    """Do the little that the packages' scripts would have done: links, users, folders."""
    for name in ("bin", "sbin", "lib", "lib64"):
        link = root / name
        if not link.exists() and not link.is_symlink():
            link.symlink_to(f"usr/{name}")
    shell = root / "usr/bin/sh"
    shell.unlink(missing_ok=True)
    shell.symlink_to("dash")
    (root / "srv").mkdir(exist_ok=True)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    users = f"root:x:0:0::/root:/bin/sh\npostgres:x:{_USER}:{_USER}::/srv:/bin/sh\n"
    (root / "etc/passwd").write_text(users)
    (root / "etc/group").write_text(f"root:x:0:\npostgres:x:{_USER}:\n")
