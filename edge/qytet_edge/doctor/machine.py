"""Checks of the machine itself: spool and disk, clock, supply and heat, and the password's file."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from qytet.doctor.finding import Finding, ok, problem, warning
from qytet.errors import SettingsError
from qytet_edge import config as configuration
from qytet_edge.clock import Clock
from qytet_edge.doctor.scene import Scene
from qytet_edge.health import Board

__all__ = ["board", "clock", "password", "spool"]

_MIB = 1 << 20
_BESIDE = 32 * _MIB
"""SQLite's log, and what the spool leaves free so that marks can always be written (spool.model.Limits)."""


def spool(scene: Scene) -> Iterator[Finding]:
    """Whether records can be kept: the folder, room for the spool as large as it may become, and its state."""
    folder = scene.config.data_dir
    if not folder.exists() and _may_write(scene, folder.parent):
        yield ok(f"{folder} will be made at the first start")
        yield _room(scene, folder.parent)
        return
    if not folder.is_dir():
        yield problem(
            f"the folder of the spool {folder} is not there",
            f"sudo install -d -o {scene.user.name} -m 700 {folder}, or set [gateway] data_dir.",
        )
        return
    if not _may_write(scene, folder):
        yield problem(
            f"{scene.user.name} may not write to {folder}", f"sudo chown -R {scene.user.name} {folder}"
        )
    yield _room(scene, folder)
    if scene.running:
        yield from _kept(scene.running["spool"])
    aside = sorted(path.name for path in folder.glob("*.corrupt-*"))
    if aside:
        yield warning(
            f"corrupt spools were set aside: {', '.join(aside)}",
            "What could be read was copied over. Check the SD card or the power supply, then delete them.",
        )


async def clock(scene: Scene) -> list[Finding]:
    """How the time is known: to the gateway that runs (its service may not ask the kernel), else to this command."""
    if scene.running:
        told = scene.running["clock"]
        tq, source, offset_s = told["tq"], told["source"], told["offset_s"]
    else:
        seen = Clock(scene.config.clock, root=scene.root)
        await seen.look()
        tq, source, offset_s, *_ = seen.state()
    if tq == "none":
        return [
            warning(
                "nobody vouches for the time: records carry none until somebody does",
                "sudo apt install chrony, and look at `chronyc sources`; without a network, fit a GNSS receiver "
                'or a battery-backed clock. [clock] trust = "host" is for virtual machines only.',
            )
        ]
    if tq == "rtc":
        return [warning(f"only {source} keeps the time", "Look at `chronyc sources`: no server answers.")]
    offset = "" if offset_s is None else f", {offset_s:+.3f} s from true time"
    return [ok(f"the time is known by {source} ({tq}){offset}")]


def board(scene: Scene) -> Iterator[Finding]:
    """Supply, heat and wear, as far as this board tells."""
    seen = Board(scene.config.data_dir, scene.root)
    heat, wear = seen.temperature(), seen.wear()
    if seen.undervoltage():
        yield problem(
            "the supply is below 4.63 V: the board may stop, and SD cards are spoilt so",
            "Use the Raspberry Pi's own power supply and a short, thick cable.",
        )
    elif (flags := seen.throttled()) is not None and flags & 0x10000:
        yield warning("the supply was below 4.63 V since the start", "Use a better power supply and cable.")
    if heat is not None and heat > 80:
        yield warning(f"the processor is at {heat:.0f} degrees and slows down", "Give it air or shade.")
    elif heat is not None:
        yield ok(f"the processor is at {heat:.0f} degrees")
    if wear is not None and wear >= 80:
        yield warning(f"{wear:.0f} % of the storage's life is used", "Replace it before it fails.")


def password(scene: Scene) -> Iterator[Finding]:
    """Whether there is a password for the broker, and only its user may read it."""
    try:
        found = scene.password()
    except SettingsError as error:
        yield problem(f"{error.what} {error.why}", error.do)
        return
    if not found and not scene.config.uplink.cert_file and not scene.running:
        yield warning(
            "no password for the broker can be read here, and there is no client certificate",
            f"Run this with sudo; or write the password to {scene.config.folder / configuration.CREDENTIAL}.",
        )
    path = scene.password_file()
    if found and path is not None and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield warning(f"others may read the broker's password in {path}", f"chmod 600 {path}")


def _may_write(scene: Scene, folder: Path) -> bool:
    try:
        return scene.user.may_use(folder)
    except OSError:
        return False


def _room(scene: Scene, folder: Path) -> Finding:
    disk = os.statvfs(folder)
    if disk.f_flag & os.ST_RDONLY:
        return problem(
            f"{folder} lies on a disk that is read-only",
            "Linux does so with a card at its end: `dmesg` says why. Replace it; what waits can still be copied.",
        )
    free = disk.f_bavail * disk.f_frsize
    try:
        used = sum(path.stat().st_size for path in folder.glob("spool.db*"))
    except OSError:
        used = 0
    wanted = scene.config.spool.max_mb * _MIB + _BESIDE
    said = f"{free / _MIB:,.0f} MiB are free in {folder}"
    if free + used < _BESIDE:
        return problem(
            f"{said}: not even the {_BESIDE / _MIB:.0f} MiB that the spool wants to leave free",
            "Delete what is not needed, or use a larger SD card.",
        )
    if free + used < wanted:
        fits = max(1, (free + used - _BESIDE) // _MIB * 9 // 10)
        return warning(
            f"{said}: less than the {wanted / _MIB:,.0f} MiB that the spool may need; once the disk is full, new "
            "readings have to wait",
            f"Make room, or set [spool] max_mb = {fits}: then the oldest records go instead, counted.",
        )
    return ok(f"{said}; the spool may need {max(0, wanted - used) / _MIB:,.0f} MiB more")


def _kept(state: dict[str, object]) -> Iterator[Finding]:
    if state["full_since_ms"] is not None:
        yield problem(
            f"the disk takes nothing: {state['full_why']}", "Make room; the gateway goes on by itself."
        )
    if state["dropped"]:
        yield warning(
            f"{state['dropped']} records were dropped in all, oldest first, because the spool was full",
            "Look at the uplink; raise [spool] max_mb or max_age_days.",
        )
    yield ok(f"records waiting for the city: {state['records']}")
