"""What this machine can tell about its clock: chrony, systemd-timesyncd, the kernel, a battery-backed clock.

chronyc -c tracking (chrony 4, client.c): reference id in hex, its name, stratum, reference time, correction in s
(positive: our clock is slow), last offset, RMS offset, frequency, residual frequency, skew, root delay in s, root
dispersion in s, update interval, leap status.
"""

import asyncio
import ctypes
import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["Rtc", "Tracking", "kernel_synchronised", "parse_tracking", "rtc", "timesync", "tracking"]

_FIELDS = 14
_NOT_REAL = ("00000000", "7F7F0101")  # no reference at all, and chrony's own `local` directive (127.127.1.1)
_GNSS = ("GPS", "GNSS", "NMEA", "PPS", "GLO", "GAL", "BDS")
_TIME_LIMIT = 5.0  # s; chronyc itself gives up after about 3 s
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


class Tracking(NamedTuple):
    """Chrony's state: synchronised, by satellite; ours minus true time and its error at most in s; the source."""

    synchronised: bool
    gnss: bool
    offset_s: float
    error_s: float
    reference: str


class Rtc(NamedTuple):
    """A battery-backed clock: its time in Unix s, and whether the kernel set the system's clock by it at boot."""

    time_s: int
    set_system: bool


def parse_tracking(text: str) -> Tracking | None:
    """Take one line of `chronyc -c tracking` apart; None if it is something else."""
    fields = text.strip().split(",")
    if len(fields) != _FIELDS:
        return None
    try:
        correction, delay, dispersion = (float(fields[at]) for at in (4, 10, 11))
    except ValueError:
        return None
    reference = fields[1] or fields[0]
    # chronyc names the state with two spellings over the years: "Not synchronised" and "Not synchronized"
    synchronised = fields[0].upper() not in _NOT_REAL and not fields[13].lower().startswith("not")
    return Tracking(
        synchronised,
        any(reference.upper().startswith(word) for word in _GNSS),
        -correction,
        abs(correction) + delay / 2 + dispersion,
        reference,
    )


async def tracking(program: str = "chronyc") -> Tracking | None:
    """Ask chrony; None if it is not installed, does not run, or does not answer in time."""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "-c",
            "tracking",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError:
        return None
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _TIME_LIMIT)
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return parse_tracking(said.decode("ascii", "replace")) if process.returncode == 0 else None


def timesync(root: Path = Path("/")) -> float | None:
    """When systemd-timesyncd last set the clock, in Unix s of this clock; None if it never did since boot."""
    try:
        return (root / "run/systemd/timesync/synchronized").stat().st_mtime
    except OSError:
        return None


def rtc(root: Path = Path("/")) -> Rtc | None:
    """The battery-backed clock, if there is one that can be read."""
    folder = root / "sys/class/rtc/rtc0"
    try:
        return Rtc(int((folder / "since_epoch").read_text()), (folder / "hctosys").read_text().strip() == "1")
    except (OSError, ValueError):
        return None


class _Timex(ctypes.Structure):
    """The head of struct timex; what follows is room enough for every architecture."""

    _fields_ = (("modes", ctypes.c_uint), ("rest", ctypes.c_char * 508))


def kernel_synchronised() -> bool:
    """Whether some program (or the host of a container) keeps telling the kernel that its clock is right."""
    try:
        call = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return False
    state: int = call(ctypes.byref(_Timex()))  # modes 0: only reads
    return 0 <= state < _TIME_ERROR
