"""Where releases, the trial, the keys and the configuration lie on a gateway; and how versions compare.

/opt/qytet-edge/                    root's
    releases/0.2.0/                 a Python environment; the file `complete` in it was written last
    current -> releases/0.2.0       what the service starts
    previous -> releases/0.1.0      where `qytet edge update rollback` goes
    trial/                          there is one while a release or a configuration is on trial (see trial.py)
    outcome                         what became of the last one
    guard.sh                        goes back when the evidence does not come
    lock
/etc/qytet-edge/                    root's, the service may read
    qytet-edge.toml
    update-keys/*.pem               public keys (Ed25519) of those who may make releases
/var/lib/qytet-edge/update/         the service's own: bundle-…, request, evidence, command
"""

import re
from dataclasses import dataclass
from pathlib import Path

from qytet.errors import InputError

__all__ = ["COMPLETE", "SERVICE", "Layout", "version_key"]

COMPLETE = "complete"
SERVICE = "qytet-edge.service"


@dataclass(frozen=True)
class Layout:
    """The paths below `root`: `/` on a gateway, a temporary folder in tests."""

    root: Path = Path("/")

    @property
    def base(self) -> Path:
        """What belongs to root: releases and the state of updates."""
        return self.root / "opt/qytet-edge"

    @property
    def releases(self) -> Path:
        """One folder a release, named by its version."""
        return self.base / "releases"

    @property
    def current(self) -> Path:
        """The link to the release that the service starts."""
        return self.base / "current"

    @property
    def previous(self) -> Path:
        """The link to the release before it."""
        return self.base / "previous"

    @property
    def trial(self) -> Path:
        """The folder that is there during a trial."""
        return self.base / "trial"

    @property
    def outcome(self) -> Path:
        """What became of the last trial, or why there was none."""
        return self.base / "outcome"

    @property
    def incoming(self) -> Path:
        """Root's working folder; emptied before each update."""
        return self.base / "incoming"

    @property
    def guard(self) -> Path:
        """The script that goes back."""
        return self.base / "guard.sh"

    @property
    def lock(self) -> Path:
        """Held by whoever changes anything here."""
        return self.base / "lock"

    @property
    def keys(self) -> Path:
        """The folder of public keys."""
        return self.root / "etc/qytet-edge/update-keys"

    @property
    def config(self) -> Path:
        """The gateway's configuration."""
        return self.root / "etc/qytet-edge/qytet-edge.toml"

    @property
    def service(self) -> Path:
        """The folder in which the gateway itself may write about updates."""
        return self.root / "var/lib/qytet-edge/update"

    @property
    def evidence(self) -> Path:
        """What the gateway writes when the city has stored a record of the new version."""
        return self.service / "evidence"

    @property
    def request(self) -> Path:
        """The gateway's wish that a bundle be installed."""
        return self.service / "request"

    def running(self) -> str:
        """The version that `current` leads to. Raises InputError if nothing is installed."""
        try:
            return self.current.readlink().name
        except OSError as error:
            raise InputError(
                "No release is installed here.",
                why=str(error),
                do="Install the gateway with edge/deploy/install.sh.",
            ) from error


def version_key(version: str) -> tuple[int, ...]:
    """A version as numbers, to compare. Raises InputError for anything but two to four numbers with dots."""
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6}){1,3}", version):
        raise InputError(f"{version!r} is no version.", why="A release is named by numbers, like 0.2.0.")
    numbers = tuple(int(part) for part in version.split("."))
    return numbers + (0,) * (4 - len(numbers))
