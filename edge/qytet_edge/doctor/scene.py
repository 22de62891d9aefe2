"""What checks may look at: the configuration, the running gateway's own words, and the host (which tests replace)."""

import grp
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from qytet_edge import config as configuration
from qytet_edge.config import Config

__all__ = ["SERVICE_USER", "Scene", "SerialPort", "User", "serial_ports"]

SERVICE_USER = "qytet-edge"


class User(NamedTuple):
    """A user's name, number and the numbers of all groups; 0 may do everything."""

    name: str
    uid: int
    groups: frozenset[int]

    @classmethod
    def of_service(cls) -> "User":
        """The user that the gateway runs as: the service's if it is installed, else whoever asks."""
        try:
            found = pwd.getpwnam(SERVICE_USER)
        except KeyError:
            return cls(_name(os.geteuid()), os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))
        return cls(found.pw_name, found.pw_uid, frozenset(os.getgrouplist(found.pw_name, found.pw_gid)))

    def may_use(self, path: Path) -> bool:
        """Whether this user may read and write the file, by its owner, group and mode. Raises OSError if absent."""
        seen = path.stat()
        if self.uid == 0:
            return True
        if seen.st_uid == self.uid:
            return seen.st_mode & 0o600 == 0o600
        if seen.st_gid in self.groups:
            return seen.st_mode & 0o060 == 0o060
        return seen.st_mode & 0o006 == 0o006


class SerialPort(NamedTuple):
    """A serial port that is there: its path, what it calls itself, and a name that stays the same, if it has one."""

    device: str
    description: str
    stable: str


def serial_ports() -> list[SerialPort]:
    """The serial ports of this machine that belong to hardware."""
    from serial.tools import list_ports

    found = {port.device: port for port in list_ports.comports()}
    stable = {str(link.resolve()): str(link) for link in sorted(Path("/dev/serial/by-id").glob("*"))}
    return [SerialPort(name, port.description, stable.get(name, "")) for name, port in sorted(found.items())]


@dataclass(frozen=True)
class Scene:
    """A gateway to be looked at: its configuration, what the running one says (None: it does not run), its host."""

    config: Config
    running: dict[str, Any] | None
    root: Path = Path("/")
    user: User = field(default_factory=User.of_service)
    ports: Callable[[], list[SerialPort]] = serial_ports

    def password_file(self) -> Path | None:
        """Where the broker's password lies: as configured, else beside the configuration, where systemd takes it."""
        named = self.config.uplink.password_file
        path = self.config.folder / (named or configuration.CREDENTIAL)
        return path if named or os.access(path, os.R_OK) else None

    def password(self) -> str:
        """The broker's password, also as systemd would hand it to the service. Raises SettingsError."""
        found = configuration.password(self.config)
        path = self.password_file()
        if found or path is None:
            return found
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[0].strip() if lines else ""

    def source(self, name: str) -> dict[str, Any] | None:
        """What the running gateway says of a source; None if it does not run or does not know it."""
        sources = self.running["sources"] if self.running else []
        found: dict[str, Any] | None = next((one for one in sources if one["name"] == name), None)
        return found


def group_name(number: int) -> str:
    """A group's name, or its number if it has none."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
