"""Whom a server runs as: PostgreSQL refuses root, so root hands it to a user without privileges."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from qytet.embedded._errors import EmbeddedError


class PopenIdentity(TypedDict, total=False):
    """The arguments of subprocess that change the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and group to run a program as; both None mean whoever we are."""

    uid: int | None = None
    gid: int | None = None

    def as_popen(self) -> PopenIdentity:
        """Return the keyword arguments for subprocess; none when nothing changes."""
        if self.uid is None or self.gid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make this identity the owner of `path` alone."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def can_run(self, program: Path) -> bool:
        """Tell by trying whether this identity reaches the program and its libraries."""
        return self._succeeds([str(program), "--version"])

    def can_enter(self, folder: Path) -> bool:
        """Tell by trying whether this identity can traverse to the folder (links, ACLs, mounts and all)."""
        return self._succeeds(["test", "-x", str(folder)])

    def _succeeds(self, command: list[str]) -> bool:
        quiet = subprocess.DEVNULL
        try:
            done = subprocess.run(
                command, stdin=quiet, stdout=quiet, stderr=quiet, cwd="/", check=False, **self.as_popen()
            )
        except OSError:
            return False
        return done.returncode == 0


SELF = Identity()


def server_identity(cluster: Path) -> Identity:
    """Return whom to run a server as that refuses root.

    Root becomes the owner of an existing cluster, else `postgres`, else `nobody`; anybody else stays.
    """
    if os.geteuid() != 0:
        return SELF
    if cluster.exists() and cluster.stat().st_uid != 0:
        return Identity(cluster.stat().st_uid, cluster.stat().st_gid)
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(user.pw_uid, user.pw_gid)
    raise EmbeddedError(
        "PostgreSQL cannot be started as root.",
        why="This system has neither a user `postgres` nor a user `nobody` to run it as.",
        do="Create a user `postgres`, or run as a normal user.",
    )
