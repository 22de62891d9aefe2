"""Turns a blank board into a node: who it is, what is written, in which order, and what may not be mixed up.

Everything that can be refused is refused before the board is touched. The credential is bound to the board's MAC
address before it is written, so that no power cut leaves it on a board that nobody knows of.
"""

import contextlib
import errno
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qytet.errors import InputError, QytetError
from qytet_bench import filesystem, firmware, layout, program, serialport
from qytet_bench.esptool import CHIPS, Chip, Esptool, Region
from qytet_bench.files import write_new
from qytet_bench.filesystem import DATA_AT
from qytet_bench.line import Line
from qytet_bench.node import NodeSettings
from qytet_bench.progress import Shown
from qytet_bench.settings import BenchSettings
from qytet_bench.vault import Vault

__all__ = ["Flashed", "HalfWritten", "Job", "MixedUpError", "check_owner", "flash", "prepare"]


_WORK = ".flash-"
_STALE_S = 86400


class MixedUpError(InputError):
    """A credential would end up on two boards, or the board (MAC address `mac`) of another device be overwritten.

    `holder` is that other device; "" if it is the device that has another board already.
    """

    def __init__(self, what: str, mac: str, holder: str = "", *, why: str, do: str) -> None:
        super().__init__(what, why=why, do=do)
        self.mac = mac
        self.holder = holder


class HalfWritten(KeyboardInterrupt):
    """Ctrl-C came while the board was written."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be put onto one board, checked as far as it can be without the board."""

    node: NodeSettings
    firmware: firmware.Firmware
    program: program.Program
    vault: Vault


@dataclass(frozen=True, slots=True)
class Flashed:
    """What was done."""

    device: str
    city: str
    site: str
    profile: str
    board: str
    chip: str
    mac: str
    flash_bytes: int
    port: str
    version: str
    micropython_sha256: str
    attempts: int
    seconds: float

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def prepare(
    node: NodeSettings,
    common: BenchSettings,
    built: program.Program | None = None,
    image: firmware.Firmware | None = None,
    password: str = "",
) -> Job:
    """Check everything that needs no board. `password`: one that the broker's operator issued. Raises QytetError.

    `built` and `image` (of the board's chip) spare the work for many boards.
    """
    image = image or firmware.load(common, node.kind.chip)
    vault = Vault(common.path(common.vault))
    if password:
        vault.adopt(node.device, password)
    return Job(node, image, built or program.build(), vault)


def flash(
    job: Job,
    port: str,
    shown: Shown,
    *,
    baud: int = 460800,
    replace: bool = False,
    resets: bool = True,
) -> Flashed:
    """Write the board on this port. `replace` allows the device another board, and the board another device.

    `resets` as in `Esptool`.

    Raises QytetError; HalfWritten if Ctrl-C came while it was written.
    """
    begun = time.monotonic()
    serialport.check_usable(port)
    tool = Esptool(port, baud, before_retry=lambda why: shown.say(f"{why} Trying again."), resets=resets)
    shown.say(f"Looking for the board on {port}.")
    with _let_go_unless_fit(port, resets=resets):
        chip = tool.identify()
        shown.say(f"{chip.text}, {chip.mac}, {chip.flash_size // 1048576} MB flash.")
        _check_chip(job, chip)
        if not replace:
            check_owner(job.vault, job.node.device, chip.mac)
        image = _image(job, chip)
        job.vault.bind(job.node.device, chip.mac)
    attempts = _write(job, tool, chip, image, shown)
    node = job.node
    return Flashed(
        device=node.device,
        city=node.city,
        site=node.site,
        profile=node.profile,
        board=node.board,
        chip=chip.name,
        mac=chip.mac,
        flash_bytes=chip.flash_size,
        port=port,
        version=job.program.version,
        micropython_sha256=job.firmware.sha256,
        attempts=attempts,
        seconds=round(time.monotonic() - begun, 1),
    )


@contextlib.contextmanager
def _let_go_unless_fit(port: str, *, resets: bool) -> Iterator[None]:
    """A board that was asked who it is waits in its loader: if it is not to be written, what is on it starts again."""
    try:
        yield
    except BaseException:
        if resets:
            with contextlib.suppress(QytetError), Line(port) as line:
                line.reset()
        raise


def _check_chip(job: Job, chip: Chip) -> None:
    wanted = job.firmware.chip
    if chip.name == wanted:
        return
    do = "Plug in the right board, or give the board that it is by --board."
    if chip.name not in CHIPS:
        do = f"Nodes are made of {', '.join(CHIPS)}: use another board."
    raise InputError(
        f"This board's chip is {chip.name}, not {wanted}.",
        why=f"{job.node.device} is to be a {job.node.board}. Nothing was written.",
        do=do,
    )


def check_owner(vault: Vault, device: str, mac: str) -> None:
    """One credential on one board, and no board turned into another device by accident. Raises MixedUpError."""
    holder = vault.holder(mac)
    if holder and holder != device:
        raise MixedUpError(
            f"This board ({mac}) is {holder} already.",
            mac,
            holder,
            why=f"It was flashed with that device's credential; as {device} it would stop being {holder}.",
            do="Plug in another board; or, if it shall change, add --replace.",
        )
    credential = vault.find(device)
    if credential and credential.board and credential.board != mac:
        raise MixedUpError(
            f"{device} is on another board already ({credential.board}).",
            mac,
            why="One credential must not be on two boards: the broker would cut one off for the other.",
            do="If that board is broken or erased, flash this one alone with --replace (`qytet bench flash`, or"
            " `provision`); else give it another name.",
        )


def _image(job: Job, chip: Chip) -> bytes:
    if not chip.flash_size:
        raise InputError(
            "The size of the flash could not be read.",
            why="Its file system must fill it exactly.",
            do="Press RESET and run the command again; if it stays so, use another board.",
        )
    size = filesystem.size_for(chip.flash_size)
    layout.check_room(size, job.program, job.node.keep_bytes)
    files = layout.board_files(job.program, job.node.files(job.vault.credential(job.node.device).password))
    return filesystem.image(size, files)


def _write(job: Job, tool: Esptool, chip: Chip, image: bytes, shown: Shown) -> int:
    with _files(job, image) as regions:
        try:
            tool.write(chip.name, regions, shown.written)
        except KeyboardInterrupt as interrupt:
            raise HalfWritten(job.node.device) from interrupt
    return tool.attempts


@contextlib.contextmanager
def _files(job: Job, image: bytes) -> Iterator[list[Region]]:
    """Files for esptool, in a folder beside the credentials, which nobody else may enter; gone afterwards."""
    job.vault.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(job.vault.folder)
    try:
        with tempfile.TemporaryDirectory(prefix=_WORK, dir=job.vault.folder) as name:
            parts = (
                (job.firmware.offset, "micropython.bin", job.firmware.content),
                (DATA_AT, "node.img", image),
            )
            regions = []
            for offset, file, content in parts:
                write_new(Path(name) / file, content, 0o600)
                regions.append(Region(offset, Path(name) / file, len(content)))
            yield regions
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise InputError(
            f"There is no room for the board's image in {job.vault.folder}.",
            why=f"It takes {(len(image) + len(job.firmware.content)) // 1048576 + 1} MB while a board is written.",
            do="Make room on the disk, or put the vault elsewhere (bench.toml).",
        ) from error


def _sweep(folder: Path) -> None:
    """Remove what a machine that lost power has left; another bench may be at work here, and just be done."""
    for left in folder.glob(f"{_WORK}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)
