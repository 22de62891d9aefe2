"""The devices' credentials at the broker: one user a device, whose name is the device's."""

from dataclasses import dataclass
from pathlib import Path

from qytet.alone import alone
from qytet.deploy import passwords
from qytet.deploy.create import owner_of
from qytet.deploy.credentials import BROKER_USERS
from qytet.deploy.files import disk_errors, write_secret
from qytet.deploy.layout import Layout
from qytet.errors import InputError, NotFoundError
from qytet_contract.topics import is_slug

__all__ = ["RELOAD", "RESTART", "DeviceCredential", "accept", "grant", "names", "revoke"]

# The broker reads its password file again. Connections that are open stay open until they end.
RELOAD = "docker compose kill --signal HUP broker"
RESTART = "docker compose restart broker"


@dataclass(frozen=True, slots=True)
class DeviceCredential:
    """What a device needs; the password is kept nowhere else."""

    device: str
    password: str


def grant(root: Path, device: str, *, renew: bool = False) -> DeviceCredential:
    """Give a device a password. Raises InputError for a bad name, or a known one unless `renew`."""
    if not is_slug(device) or device in BROKER_USERS:
        raise InputError(
            f"{device!r} cannot be a device's name.",
            why="A name has 1 to 64 of a-z, 0-9, - and _, and is not one of the platform's own users.",
        )
    layout = Layout(root)
    with disk_errors(root), alone(layout.secrets):
        users = _read(layout)
        if device in users and not renew:
            raise InputError(
                f"The device {device} has a password already.",
                why="It is kept as a digest only and cannot be shown again.",
                do="Make a new one with --renew: the old one then ends.",
            )
        password = passwords.new_password()
        users[device] = passwords.hashed(password)
        _write(layout, users)
    return DeviceCredential(device, password)


def accept(root: Path, text: str) -> list[str]:
    """Take devices whose passwords were made elsewhere, by their digests (`user:$7$…` lines); returns their names.

    Raises InputError for a bad name or digest; then none is taken.
    """
    given = passwords.parse(text)
    for device, entry in given.items():
        if not is_slug(device) or device in BROKER_USERS or not passwords.is_entry(entry):
            raise InputError(
                f"The credential of {device!r} cannot be taken.",
                why="A line is `device:$7$…`, and a device is not one of the platform's own users.",
                do="Make the lines with `qytet bench credentials`.",
            )
    layout = Layout(root)
    with disk_errors(root), alone(layout.secrets):
        _write(layout, _read(layout) | given)
    return sorted(given)


def revoke(root: Path, device: str) -> None:
    """Take a device's password away. Raises NotFoundError if it has none."""
    layout = Layout(root)
    with disk_errors(root), alone(layout.secrets):
        users = _read(layout)
        if device not in users or device in BROKER_USERS:
            raise NotFoundError(f"The broker knows no device {device!r}.", do="See `qytet deploy devices`.")
        del users[device]
        _write(layout, users)


def names(root: Path) -> list[str]:
    """The devices that have a password, sorted."""
    with disk_errors(root):
        return sorted(set(_read(Layout(root))) - set(BROKER_USERS))


def _read(layout: Layout) -> dict[str, str]:
    file = layout.broker_secrets / "passwords"
    if not file.exists():
        raise InputError(f"There is no {file}.", do=f"Run `qytet deploy init {layout.root}` first.")
    return passwords.parse(file.read_text(encoding="utf-8"))


def _write(layout: Layout, users: dict[str, str]) -> None:
    file = layout.broker_secrets / "passwords"
    write_secret(file, passwords.render(users).encode(), owner_of(layout))
