"""Where devices' credentials are kept on the technician's machine: made once, readable by their owner only.

One file a device (mode 0600) in one folder (0700). Nothing of it is ever printed, logged or put on a command line;
errors name files, never what they hold. The broker gets digests (`qytet bench credentials`).
"""

import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from qytet.deploy import passwords
from qytet.errors import InputError
from qytet_bench.files import write_once, write_whole
from qytet_contract.topics import is_slug

__all__ = ["Credential", "Vault", "check_password", "password_in"]

_PASSWORD_LEAST, _PASSWORD_MOST = 8, 128
"""Characters; the most is what a node's settings take."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Credential:
    """What a device shows the broker; `board` is the MAC address of the board that it was put on, "" if on none yet."""

    device: str
    password: str = field(repr=False)
    made: str = ""
    board: str = ""


class Vault:
    """The folder is made when the first credential is. Methods raise InputError if it is not its owner's alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, device: str) -> Credential | None:
        """The device's credential, if there is one."""
        path = self._path(device)
        with self._disk_errors():
            if not self._there() or not path.exists():
                return None
            return _parsed(path, _private(path).read_bytes())

    def credential(self, device: str) -> Credential:
        """The device's credential: the same at each call, made (192 random bits) at the first."""
        return self.find(device) or self._add(Credential(device, passwords.new_password(), _now()))

    def adopt(self, device: str, password: str) -> Credential:
        """Keep a password that somebody else issued. Raises InputError if the device has another."""
        self.check(device, password)
        return self.find(device) or self._add(Credential(device, password, _now()))

    def check(self, device: str, password: str) -> None:
        """Whether `adopt` would take this password. Raises InputError."""
        check_password(device, password)
        found = self.find(device)
        if found and not secrets.compare_digest(found.password.encode(), password.encode()):
            raise InputError(
                f"The vault holds another password for {device}.",
                why="A device has one credential.",
                do=f"If the new one is right, remove {self._path(device)} first.",
            )

    def holder(self, board: str) -> str:
        """The device whose credential was put on the board with this MAC address; "" if none was."""
        return next((found.device for found in self if found.board == board), "")

    def bind(self, device: str, board: str) -> None:
        """Note on which board (MAC address) the credential is; no other device's is on it any more."""
        for found in [*self]:
            wanted = board if found.device == device else "" if found.board == board else found.board
            if wanted != found.board:
                self._write(self._path(found.device), replace(found, board=wanted), new=False)

    def __iter__(self) -> Iterator[Credential]:
        yield from [found for device in self.devices() if (found := self.find(device))]

    def devices(self) -> list[str]:
        """Whose credentials there are."""
        with self._disk_errors():
            names = [path.stem for path in self.folder.glob("*.json")] if self._there() else []
            return sorted(filter(is_slug, names))  # macOS puts files like ._node-1.json onto some disks

    def _path(self, device: str) -> Path:
        if not is_slug(device):
            raise InputError(f"{device!r} cannot be a device's name.")
        return self.folder / f"{device}.json"

    def _there(self) -> bool:
        if not self.folder.exists():
            return False
        _private(self.folder)
        return True

    def _add(self, made: Credential) -> Credential:
        """Two benches at once make one credential: the second finds the first's."""
        path = self._path(made.device)
        with self._disk_errors():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _private(self.folder)
        try:
            self._write(path, made, new=True)
        except FileExistsError:
            with self._disk_errors():
                return _parsed(path, _private(path).read_bytes())
        return made

    def _write(self, path: Path, made: Credential, *, new: bool) -> None:
        content = {
            "v": 1,
            "device": made.device,
            "password": made.password,
            "made": made.made,
            "board": made.board,
        }
        text = json.dumps(content).encode()
        with self._disk_errors():
            write_once(path, text, 0o600) if new else write_whole(path, text, secret=True)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except OSError as error:
            raise InputError(
                f"The credentials in {self.folder} cannot be read or written.",
                why=str(error.strerror),
                do="Run the command as the user who owns them, on a disk with room.",
            ) from error


def check_password(device: str, password: str) -> None:
    """Refuse a password that no node could take. Raises InputError, which does not quote it."""
    if not _PASSWORD_LEAST <= len(password) <= _PASSWORD_MOST or not password.isprintable():
        raise InputError(
            f"The password given for {device} cannot be used.",
            why=f"A node takes {_PASSWORD_LEAST} to {_PASSWORD_MOST} printable characters.",
        )


def password_in(path: Path) -> str:
    """The password of a file: a line of text, or what `qytet deploy credential --json` printed."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read.", why=type(error).__name__) from error
    if text.startswith("{"):
        try:
            text = msgspec.json.decode(text, type=_Issued).password
        except msgspec.DecodeError:
            raise InputError(f"{path} is no answer of `qytet deploy credential --json`.") from None
    if not text or "\n" in text:
        raise InputError(f"{path} must hold one line: the password.")
    return text


class _Issued(msgspec.Struct):
    password: str


class _Kept(msgspec.Struct):
    device: str
    password: str
    made: str = ""
    board: str = ""


def _parsed(path: Path, content: bytes) -> Credential:
    try:
        kept = msgspec.json.decode(content, type=_Kept)
    except msgspec.DecodeError:
        raise InputError(
            f"{path} is damaged.",
            do="Restore it from a copy; or remove it, and issue the device a new credential.",
        ) from None  # a cause might quote the content
    if kept.device != path.stem:
        raise InputError(f"{path} holds the credential of {kept.device}.", do="Give it back its name.")
    return Credential(kept.device, kept.password, kept.made, kept.board)


def _private(path: Path) -> Path:
    """The path, if it is its owner's alone and that is us. Windows keeps a user's folders apart by itself."""
    if os.name != "posix":
        return path
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise InputError(f"{path} belongs to another user.", do="Run the command as its owner.")
    if stat.S_IMODE(found.st_mode) & _OTHERS:
        mode = "700" if path.is_dir() else "600"
        raise InputError(
            f"Others may read {path}.", why="It holds credentials.", do=f"Run: chmod {mode} '{path}'"
        )
    return path


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
