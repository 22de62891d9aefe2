"""Checks of the host: Python, packages, disk, data folder, clock, zones, ports."""

import ctypes
import datetime as dt
import os
import re
import stat
import sys
from importlib import metadata
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from qytet.doctor.context import Context
from qytet.doctor.finding import Finding, ok, problem, warning
from qytet.doctor.http import ask
from qytet.embedded.ports import is_free, listener

__all__ = ["clock", "data_folder", "disk", "packages", "ports", "python", "time_zone"]

CIVIL_ZONE = "Europe/Tirane"
"""Whose days the aggregates count; the migrations say so."""

_GB = 1_000_000_000
_ENDS = {(3, 11): dt.date(2027, 10, 31), (3, 12): dt.date(2028, 10, 31)}  # PEP 664 and 693: security fixes
_EARLIEST = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)  # older than this program
_LATEST = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
_STA_UNSYNC = 0x40  # linux/timex.h
_STATUS_AT = 40  # bytes into struct timex on 64-bit Linux: modes, offset, freq, maxerror, esterror before it


def python(context: Context) -> list[Finding]:
    """The interpreter is new enough, and still gets security fixes."""
    version = sys.version_info
    text = f"Python {version.major}.{version.minor}.{version.micro}"
    if version < (3, 11):
        return [problem(f"{text} is too old", "Install Python 3.11 or newer.")]
    ends = _ENDS.get((version.major, version.minor))
    if ends and context.now().date() > ends:
        return [warning(f"{text} gets no security fixes since {ends}", "Install a newer Python.")]
    return [ok(text)]


def packages(_context: Context) -> list[Finding]:
    """What the program needs is installed; which extras are not is told, not judged."""
    try:
        needed = metadata.requires("qytet") or []
        version = metadata.version("qytet")
    except metadata.PackageNotFoundError:
        return [problem("the distribution qytet is not installed", "pip install -e . (in a checkout)")]
    lacking: dict[str, list[str]] = {}
    for requirement in needed:
        name = re.split(r"[\s<>=!~;\[(]", requirement, maxsplit=1)[0]
        if name != "qytet" and not _installed(name):
            lacking.setdefault(_extra(requirement), []).append(name)
    if core := lacking.pop("", []):
        return [problem(f"qytet {version} lacks {', '.join(core)}", "pip install --upgrade qytet")]
    missing = f"; extras not installed: {', '.join(sorted(lacking))}" if lacking else ""
    return [ok(f"qytet {version}{missing}")]


def _extra(requirement: str) -> str:
    found = re.search(r"extra == ['\"](\w+)['\"]", requirement)
    return found[1] if found else ""


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def disk(context: Context) -> list[Finding]:
    """There is room where the embedded servers and the demo keep their files."""
    folder = context.settings.data_dir.absolute()
    found = context.disk(folder)
    text = f"{found.free / _GB:.1f} of {found.total / _GB:.0f} GB free for {folder}"
    findings = [ok(text)]
    if found.free < _GB:
        findings = [problem(text, "Free at least 1 GB: a full disk stops the database.")]
    elif found.free < 5 * _GB:
        findings = [warning(text, "Free some space, or set data_dir to another disk.")]
    if found.total_inodes and found.free_inodes < found.total_inodes // 100:
        findings.append(
            problem(f"only {found.free_inodes} inodes free", "Delete small files by the thousand.")
        )
    return findings


def data_folder(context: Context) -> list[Finding]:
    """The data folder belongs to us, can be written, and is not open to others' writing."""
    folder = context.settings.data_dir.absolute()
    if not folder.exists():
        above = next(parent for parent in folder.parents if parent.exists())
        if os.access(above, os.W_OK | os.X_OK):
            return [ok(f"{folder} is made when it is needed")]
        return [problem(f"{folder} cannot be made: {above} is not writable", "Set data_dir elsewhere.")]
    if not folder.is_dir():
        return [problem(f"{folder} is not a folder", "Move the file away, or set data_dir elsewhere.")]
    found = folder.stat()
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return [
            problem(
                f"{folder} is not writable", f"chown it to user {os.geteuid()}, or set data_dir elsewhere."
            )
        ]
    if found.st_mode & stat.S_IWOTH:
        return [problem(f"anybody may write to {folder}", f"chmod o-w {folder}")]
    if found.st_uid != os.geteuid():
        return [
            warning(f"{folder} belongs to user {found.st_uid}, we are {os.geteuid()}", "Run as its owner.")
        ]
    return [ok(f"{folder} is ours")]


def clock(context: Context) -> list[Finding]:
    """The clock is plausible, and the kernel knows it to be synchronised."""
    now = context.now()
    if not _EARLIEST <= now < _LATEST:
        return [problem(f"the clock says {now:%Y-%m-%d %H:%M}", "Set it: `timedatectl set-ntp true`.")]
    synchronised = _synchronised()
    if synchronised is None:
        return [ok(f"{now:%Y-%m-%d %H:%M:%S} UTC; whether it is synchronised cannot be told here")]
    if not synchronised:
        return [
            warning(
                f"{now:%Y-%m-%d %H:%M:%S} UTC, but not synchronised with any time server",
                "Run a time service (systemd-timesyncd, chrony); in a container the host's counts.",
            )
        ]
    return [ok(f"{now:%Y-%m-%d %H:%M:%S} UTC, synchronised")]


def _synchronised() -> bool | None:
    """What the kernel's adjtimex says; None where there is none, or it may not be asked."""
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    timex = ctypes.create_string_buffer(256)  # all zero: modes 0 asks and changes nothing
    try:
        state = int(ctypes.CDLL(None).adjtimex(timex))
    except (AttributeError, OSError):
        return None
    if state < 0:
        return None
    return not int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], sys.byteorder) & _STA_UNSYNC


def time_zone(context: Context) -> list[Finding]:
    """The zone of civil days is known to this host's time zone data, with its daylight-saving rules."""
    try:
        zone = ZoneInfo(CIVIL_ZONE)
    except ZoneInfoNotFoundError:
        return [
            problem(
                f"this host's time zone data lack {CIVIL_ZONE}",
                "Install tzdata (Debian), or pip install tzdata.",
            )
        ]
    offset = context.now().astimezone(zone).strftime("%z")
    return [ok(f"{CIVIL_ZONE}, now UTC{offset[:3]}:{offset[3:]}")]


def ports(context: Context) -> list[Finding]:
    """The ports that our services listen on are free, or ours."""
    settings = context.settings
    wanted = [
        ("port of the API", settings.api.port, "/v1/version", "[api] port"),
        ("port of ingest", settings.ingest.http_port, "/health", "[ingest] http_port"),
    ]
    return [_port(*row) for row in wanted]


def _port(name: str, port: int, path: str, setting: str) -> Finding:
    if is_free(port):
        return _named(name, ok(f"{port} is free"))
    if ask(f"http://127.0.0.1:{port}{path}").status == 200:
        return _named(name, ok(f"{port} is ours"))
    holder = listener(port)
    who = f"process {holder}" if holder else "another program"
    return _named(name, problem(f"{port} is taken by {who}", f"End it, or set {setting} to a free port."))


def _named(name: str, finding: Finding) -> Finding:
    return Finding(finding.state, finding.what, finding.do, name=name)
