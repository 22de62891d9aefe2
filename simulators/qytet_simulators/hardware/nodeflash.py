"""A node's flash as a bench makes it: the image of its file system, and the settings and profile that lie in it."""

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qytet.errors import InputError, QytetError
from qytet_simulators.hardware.chip import data_partition
from qytet_simulators.hardware.flash import FlashFile

if TYPE_CHECKING:
    from littlefs import LittleFS

__all__ = ["Bench", "NodeFiles", "install", "kept_records", "make_image", "read_node", "write_settings"]

_BLOCK = 4096
_SETTINGS = "/etc/node.json"
_BENCH_S = 120
_HEAD, _RECORD = 20, struct.Struct("<HI")


@dataclass(frozen=True)
class Bench:
    """What the bench is told of a node that it makes an image of."""

    city: str
    device: str
    profile: str
    board: str
    host: str
    port: int
    tls: bool
    ca_file: Path | None
    ssid: str
    wifi_password: str


@dataclass(frozen=True)
class NodeFiles:
    """What lies on a node's flash: `/etc/node.json`, and the profile and the board that it names."""

    settings: dict[str, Any]
    profile: dict[str, Any]
    board: dict[str, Any]


def make_image(folder: Path, bench: Bench, size: int) -> Path:
    """Have `qytet bench image` write an image of a file system of `size` bytes into `folder`. Raises QytetError."""
    config, out, password = folder / "bench.toml", folder / "node.img", folder / "password"
    config.write_text(_config(bench), encoding="utf-8")
    password.touch(mode=0o600)
    password.write_text("replaced-before-it-is-used", encoding="ascii")
    command = [sys.executable, "-m", "qytet", "bench", "image", "--config", str(config), "--out", str(out)]
    command += ["--device", bench.device, "--city", bench.city, "--profile", bench.profile]
    command += ["--board", bench.board, "--size", str(size), "--password-file", str(password), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_BENCH_S, check=False)
    if done.returncode:
        raise QytetError(
            "The bench made no image of the node's flash.",
            why=(done.stderr or done.stdout).strip()[-1000:],
            do="`qytet bench image --help` says what it needs; or give an image by --image.",
        )
    return out


def install(flash: FlashFile, image: Path) -> None:
    """Write an image to where the board's file system begins. Raises InputError if it does not fit there exactly."""
    offset, room = data_partition(flash)
    try:
        size = image.stat().st_size
        if size != room:
            raise InputError(
                f"{image} has {size} bytes.",
                why=f"The board's file system has {room}, and an image must fill it.",
                do=f"Make it with `qytet bench image --size {room:#x}`, or say --flash-mb.",
            )
        content = image.read_bytes()
    except OSError as error:
        raise InputError(f"{image} cannot be read.", why=str(error.strerror)) from error
    flash.erase(offset, room)
    flash.write(offset, content)


def read_node(flash: FlashFile) -> NodeFiles:
    """What the node is, as its flash says. Raises InputError if this is no node's flash."""
    with _mounted(flash) as files:
        settings = _document(files, _SETTINGS)
        slot = _document(files, "/slot.json").get("run", "a")
        return NodeFiles(
            settings,
            _document(files, f"/{slot}/profiles/{settings.get('profile')}.json"),
            _document(files, f"/{slot}/boards/{settings.get('board')}.json"),
        )


def write_settings(flash: FlashFile, settings: Mapping[str, Any]) -> None:
    """Replace `/etc/node.json`; the board must be off."""
    with _mounted(flash) as files, files.open(_SETTINGS, "wb") as file:
        file.write(json.dumps(settings, separators=(",", ":")).encode())


def kept_records(flash: FlashFile) -> dict[str, int]:
    """The number of the last sound record of each boot that is still in the node's backlog; the board must be off.

    A segment is a header ("QB1", boot, number of its first record, CRC-32) and records (length, CRC-32, JSON row).
    """
    found: dict[str, int] = {}
    with _mounted(flash) as files:
        for name in files.listdir("/data"):
            if name.endswith(".seg"):
                with files.open(f"/data/{name}", "rb") as file:
                    boot, last = _last(file.read())
                if last:
                    found[boot] = max(found.get(boot, 0), last)
    return found


def _last(content: bytes) -> tuple[str, int]:
    if len(content) < _HEAD or content[:4] != b"QB1\n":
        return "", 0
    last, at = 0, _HEAD
    while at + _RECORD.size <= len(content):
        size, check = _RECORD.unpack_from(content, at)
        row = content[at + _RECORD.size : at + _RECORD.size + size]
        if len(row) < size or zlib.crc32(row) != check:
            break  # torn by a power cut
        last, at = json.loads(row)[0], at + _RECORD.size + size
    return content[4:12].decode("ascii", "replace"), last


def _config(bench: Bench) -> str:
    """A bench.toml; a TOML text is a JSON text, but for what no name of ours has."""
    lines = [f"ntp = {json.dumps(['time.qytet.test'])}", f"vault = {json.dumps('vault')}"]
    lines += [f"ca = {json.dumps(str(bench.ca_file.absolute()))}"] if bench.ca_file else []
    lines += ["[wifi]", f"ssid = {json.dumps(bench.ssid)}", f"password = {json.dumps(bench.wifi_password)}"]
    lines += ["[broker]", f"host = {json.dumps(bench.host)}", f"port = {bench.port}"]
    return "\n".join([*lines, f"tls = {json.dumps(bench.tls)}", ""])


def _document(files: "LittleFS", path: str) -> dict[str, Any]:
    from littlefs import LittleFSError

    try:
        with files.open(path, "rb") as file:
            found = json.loads(file.read())
    except (LittleFSError, OSError, ValueError) as error:
        raise InputError(f"The image has no {path} that can be read.", why=str(error)) from error
    if not isinstance(found, dict):
        raise InputError(f"{path} of the image holds no object.")
    return found


@contextmanager
def _mounted(flash: FlashFile) -> Iterator["LittleFS"]:
    try:
        from littlefs import LittleFS, LittleFSError
    except ImportError as error:
        raise QytetError(
            "There is nothing to read the flash's file system with.",
            why=str(error),
            do="Run `pip install 'qytet[bench]'`.",
        ) from error
    partition = _Partition(flash)
    files = LittleFS(
        partition,  # type: ignore[arg-type]
        mount=False,
        block_size=_BLOCK,
        block_count=partition.size // _BLOCK,
        read_size=32,
        prog_size=32,
        lookahead_size=32,
        cache_size=128,  # as MicroPython's VfsLfs2 on ESP32
    )
    try:
        files.mount()
    except LittleFSError as error:
        raise InputError("This is no flash of a node.", why=str(error)) from error
    try:
        yield files
    finally:
        files.unmount()


class _Partition:
    """The flash's file system as littlefs asks for it."""

    def __init__(self, flash: FlashFile) -> None:
        self._flash = flash
        self._offset, self.size = data_partition(flash)

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:  # noqa: ARG002
        return bytearray(self._flash.read(self._offset + block * _BLOCK + off, size))

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:  # noqa: ARG002
        self._flash.write(self._offset + block * _BLOCK + off, bytes(data))
        return 0

    def erase(self, cfg: Any, block: int) -> int:  # noqa: ARG002
        self._flash.erase(self._offset + block * _BLOCK, _BLOCK)
        return 0

    def sync(self, cfg: Any) -> int:  # noqa: ARG002
        return 0
