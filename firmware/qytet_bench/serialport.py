"""Finds the port that a board hangs on, and says in words why one cannot be used: absent, busy or not permitted.

A port is a device (`/dev/ttyUSB0`, `/dev/cu.usbserial-…`, `COM3`, a pty) or an address that pyserial knows
(`rfc2217://host:port`, `socket://host:port`).
"""

import os
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

from qytet.errors import InputError, NotFoundError, ServerError

__all__ = ["Port", "Watcher", "check_usable", "choose", "comes_back", "holders", "is_address", "ports"]

# USB vendors of the bridges on ESP32 boards, and Espressif's own of chips with USB inside (S3, C3).
_VENDORS = {0x10C4: "CP210x", 0x1A86: "CH340", 0x0403: "FTDI", 0x303A: "ESP32", 0x067B: "PL2303"}
_LOOK_S = 0.2
"""Between two looks at the ports: no system tells all of its own accord that one came."""
_SETTLE_S = 3.0
_BUSY_S = 2.0
"""A port that has just appeared is looked at by others too: ModemManager, an editor that lists boards."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of this machine; `bridge` is the kind of its USB chip, "" if it is none of those on ESP32 boards."""

    path: str
    text: str
    bridge: str
    serial: str


def ports() -> list[Port]:
    """The ports of this machine that could be a board's, likely ones first."""
    found = [
        Port(
            port.device,
            _described(port.description),
            _VENDORS.get(port.vid or 0, ""),
            port.serial_number or "",
        )
        for port in list_ports.comports()
        if port.vid is not None
    ]
    return sorted(found, key=lambda port: (not port.bridge, port.path))


def choose(wanted: str = "") -> str:
    """The port to use: `wanted`, or the only board's. Raises NotFoundError or InputError with what to do."""
    if wanted:
        return wanted if is_address(wanted) else _existing(wanted)
    there = ports()
    likely = [port for port in there if port.bridge] or there
    if not likely:
        raise NotFoundError(
            "No board is connected: this machine has no serial port on USB.",
            why="Cables that only charge are common; and on Windows and macOS a board's USB chip may need its driver.",
            do="Use a cable that carries data, and another socket. If it still does not appear in `qytet bench ports`,"
            " install the driver of the USB chip (CP210x: Silicon Labs, CH340: WCH).",
        )
    if len(likely) > 1:
        names = ", ".join(f"{port.path} ({port.text})" for port in likely)
        raise InputError(
            f"There are {len(likely)} ports: {names}", do="Say which by --port, or unplug the others."
        )
    return likely[0].path


def is_address(port: str) -> bool:
    """Whether this names no device of this machine but an address."""
    return "://" in port


class Watcher:
    """Tells of boards as they are plugged in; one that was unplugged and comes back is new again."""

    def __init__(self, known: Collection[str], look: Callable[[], list[Port]] = ports) -> None:
        self._known, self._look = set(known), look

    def next(self, limit_s: float) -> Port | None:
        """The next port that appears and may be opened; None if none came within the limit."""
        end = time.monotonic() + limit_s
        while True:
            there = {port.path: port for port in self._look()}
            self._known &= there.keys()
            for path in sorted(there.keys() - self._known):
                self._known.add(path)
                self._settle(path)
                return there[path]
            if time.monotonic() >= end:
                return None
            time.sleep(_LOOK_S)

    def _settle(self, path: str) -> None:
        """On Linux a device belongs to root first, and to its group as soon as udev has been at it."""
        end = time.monotonic() + _SETTLE_S
        while os.name == "posix" and not os.access(path, os.R_OK | os.W_OK) and time.monotonic() < end:
            time.sleep(_LOOK_S)


def comes_back(port: str, limit_s: float) -> bool:
    """Wait for a device that went away, as a board's does when its supply breaks down for a moment."""
    if is_address(port) or os.name != "posix":
        return False
    end = time.monotonic() + limit_s
    while not os.access(port, os.R_OK | os.W_OK):
        if time.monotonic() >= end:
            return False
        time.sleep(_LOOK_S)
    return True


def check_usable(port: str) -> None:
    """Say why this device cannot be used, before anything is begun. Raises NotFoundError or ServerError."""
    if is_address(port) or os.name != "posix":
        return
    _existing(port)
    if not os.access(port, os.R_OK | os.W_OK):
        raise refused(port)
    end = time.monotonic() + _BUSY_S
    while users := holders(port):
        if time.monotonic() >= end:
            raise busy(port, users)
        time.sleep(_LOOK_S)


def busy(port: str, users: Collection[str] = ()) -> ServerError:
    """The error for a port that another program has."""
    who = ", ".join(users)
    return ServerError(
        f"The port {port} is busy.",
        why=f"It is open in {who}." if who else "Another program has it open.",
        do="Close that program (a serial monitor, an editor, another bench; on Linux also ModemManager:"
        " sudo systemctl stop ModemManager), then run the command again.",
    )


def refused(port: str) -> ServerError:
    """The error for a port that this user may not open."""
    why = f"The user {_user()} may not read and write it."
    if sys.platform == "darwin":
        return ServerError(
            f"The port {port} cannot be opened.", why=why, do="Allow the driver in System Settings."
        )
    if os.name == "nt":
        return busy(port)  # Windows says "access denied" for a port that is open elsewhere
    group = _group(port)
    do = f"Run: sudo usermod -aG {group} {_user()}  and log in again; or install udev's rules for the board."
    if _is_member(group):
        do = f"{_user()} has been added to {group}, but this session began before: log out and in again."
    return ServerError(f"The port {port} cannot be opened.", why=why, do=do)


def holders(port: str) -> list[str]:
    """The other processes that have this device open, as `name (pid)`; only known on Linux."""
    if not sys.platform.startswith("linux") or is_address(port):
        return []
    device = str(Path(port).resolve())
    others = (process for process in Path("/proc").glob("[0-9]*") if process.name != str(os.getpid()))
    return [f"{_name(process)} ({process.name})" for process in others if _has_open(process, device)]


def _has_open(process: Path, device: str) -> bool:
    try:
        return any(_target(link) == device for link in (process / "fd").iterdir())
    except OSError:  # it has ended, or is another user's
        return False


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "?"


def _existing(path: str) -> str:
    if os.name == "nt" or Path(path).exists():
        return path
    there = ", ".join(port.path for port in ports())
    raise NotFoundError(
        f"There is no port {path}.",
        why=f"There are: {there}." if there else "This machine has no serial port on USB now.",
        do="Plug the board in with a cable that carries data (many only charge), and see `qytet bench ports`.",
    )


def _described(text: str | None) -> str:
    return "" if not text or text == "n/a" else text


def _user() -> str:
    return os.environ.get("USER") or os.environ.get("USERNAME") or "you"


def _group(port: str) -> str:
    """The group that owns the device: dialout on Debian, uucp on Arch."""
    try:
        return Path(port).group()
    except (OSError, KeyError, NotImplementedError):
        return "dialout"


def _is_member(group: str) -> bool:
    """Whether the system's list has this user in the group."""
    if os.name != "posix":
        return False
    import grp  # not on Windows

    try:
        return _user() in grp.getgrnam(group).gr_mem
    except KeyError:
        return False
