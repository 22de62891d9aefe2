"""Which of a machine's clocks to believe: pure rules from facts to a basis for dating records."""

from typing import NamedTuple

from qytet_edge.clock.config import ClockConfig
from qytet_edge.clock.facts import Rtc, Tracking

__all__ = ["BUILT_MS", "UNKNOWN", "Basis", "Facts", "Fix", "judge"]

BUILT_MS = 1_767_225_600_000
"""2026-01-01T00:00Z, before this program was written: a clock that says less was never set."""
_RTC_APART_S = (
    60  # a battery-backed clock confirms the system's if they differ by less; it is read in whole seconds
)


class Fix(NamedTuple):
    """A time from a satellite: Unix ns minus ns since boot, and when it came (ns since boot)."""

    offset_ns: int
    at_ns: int


class Facts(NamedTuple):
    """One look: the system's clock in Unix ns, ns since boot (suspended time counts), and what vouches for it."""

    real_ns: int
    boot_ns: int
    tracking: Tracking | None = None
    timesync_s: float | None = None
    kernel: bool = False
    rtc: Rtc | None = None
    fix: Fix | None = None


class Basis(NamedTuple):
    """How records are dated: Unix ns minus ns since boot, how it is known, and who says so.

    `system`: the offset is the system clock's own (and moves with it); otherwise a satellite's.
    `confirmed_ns`: when it was last vouched for, ns since boot.
    """

    offset_ns: int
    tq: str
    source: str
    system: bool
    confirmed_ns: int


UNKNOWN = Basis(0, "none", "", True, 0)


def judge(facts: Facts, before: Basis, config: ClockConfig, rtc_floor_ms: int = BUILT_MS) -> Basis:
    """The best basis that these facts allow; `before` is the one in force, if the clock was not set since.

    `rtc_floor_ms`: the latest time that was ever known here; a battery-backed clock that says less has stopped.
    """
    system = facts.real_ns - facts.boot_ns
    if facts.real_ns >= BUILT_MS * 1_000_000:
        said = _vouched(facts, config)
        if said is not None:
            return Basis(system, *said, True, facts.boot_ns)
    hold_ns = int(config.hold_s * 1e9)
    if facts.fix is not None and facts.boot_ns - facts.fix.at_ns <= hold_ns:
        return Basis(facts.fix.offset_ns, "gnss", "gnss", False, facts.fix.at_ns)
    if before.tq != "none":
        return _held(before, system, facts.boot_ns, hold_ns)
    if _rtc_agrees(facts, rtc_floor_ms):
        return Basis(system, "rtc", "rtc", True, facts.boot_ns)
    return UNKNOWN._replace(offset_ns=system)


def _vouched(facts: Facts, config: ClockConfig) -> tuple[str, str] | None:
    """Quality and source of the system's clock, if somebody vouches for it now."""
    if config.trust == "host":
        return "host", "host"
    chrony = facts.tracking
    if chrony is not None and chrony.synchronised and chrony.error_s <= config.error_s:
        return ("gnss" if chrony.gnss else "ntp"), f"chrony ({chrony.reference})"
    if chrony is not None:
        return None  # chrony keeps this clock and does not vouch for it: nobody knows better
    age = None if facts.timesync_s is None else facts.real_ns / 1e9 - facts.timesync_s
    if age is not None and -1 <= age <= config.hold_s:
        return "ntp", "systemd-timesyncd"
    if facts.kernel:
        return "host", "kernel"
    return None


def _held(before: Basis, system: int, boot_ns: int, hold_ns: int) -> Basis:
    """A time that was known goes on by the machine's crystal, and says so once that has been long."""
    offset = system if before.system else before.offset_ns
    kept = before.tq if boot_ns - before.confirmed_ns <= hold_ns else "rtc"
    return before._replace(offset_ns=offset, tq=kept)


def _rtc_agrees(facts: Facts, floor_ms: int) -> bool:
    """Whether a battery-backed clock set the system's clock and still agrees with it.

    A clock whose battery is empty starts in 1970 or 2000, and systemd then moves the system's clock on to the
    time of the last shutdown: plausible and wrong. The two disagree then.
    """
    if facts.rtc is None or not facts.rtc.set_system:
        return False
    apart = abs(facts.real_ns / 1e9 - facts.rtc.time_s)
    return facts.rtc.time_s * 1000 >= max(floor_ms, BUILT_MS) and apart <= _RTC_APART_S
