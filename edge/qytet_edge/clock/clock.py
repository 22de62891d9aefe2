"""Dates records: the time and how it is known, or neither; notices at once when somebody sets the clock."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from qytet import log
from qytet_contract.records import TIME_CEILING
from qytet_edge.clock import facts as look
from qytet_edge.clock.config import ClockConfig
from qytet_edge.clock.judge import BUILT_MS, UNKNOWN, Facts, Fix, judge
from qytet_edge.ending import until

__all__ = ["Clock", "ClockState", "Step"]

_STEP_NS = 1_000_000_000
"""More than slewing can do between two looks: chrony slews at most 1/12 s a second, and rarely so fast."""
_APART_NS = 100_000_000
"""Two reads that lie further apart are not of one moment: the machine stood still in between."""
_TRIES = 20
_log = log.get("edge.clock")


class Step(NamedTuple):
    """Somebody set the clock: by how many seconds, and when (ms since boot)."""

    by_s: float
    up_ms: int


class ClockState(NamedTuple):
    """For status and health. `offset_s`: ours minus true time, None if nobody says."""

    tq: str
    source: str
    offset_s: float | None
    steps: int
    last_step: Step | None
    confirmed_s: float | None
    """Seconds since somebody last vouched for the time."""


class Clock:
    """Says what time it is, and how that is known; safe to ask from any thread.

    `stamp` is cheap: the state is looked at in `run` (every `look_s` seconds, and at once after a step). Until
    the first look, and after each step until the next one, the time is not known: such records carry their
    uptime, and the server dates them from a later record of the same boot.

    `root` holds /sys, /proc and /run; `now` and `boottime` give ns and are replaced in tests; `on_step` is
    called on the event loop's thread.
    """

    def __init__(
        self,
        config: ClockConfig | None = None,
        *,
        root: Path = Path("/"),
        chronyc: str = "chronyc",
        now: Callable[[], int] = time.time_ns,
        boottime: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        kernel: Callable[[], bool] = look.kernel_synchronised,
        on_step: Callable[[Step], None] | None = None,
    ) -> None:
        self.config = config or ClockConfig()
        self.on_step = on_step
        self._root, self._chronyc, self._kernel = root, chronyc, kernel
        self._now, self._boottime = now, boottime
        self._basis = UNKNOWN
        boot, real = self._moment()
        self._shift = real - boot
        """The system's clock minus time since boot at the last look: whoever moves it by a second, set it."""
        self._fix: Fix | None = None
        self._offset_s: float | None = None
        self._rtc_floor_ms = BUILT_MS
        self._steps = 0
        self._last_step: Step | None = None
        self._told: list[Step] = []
        self._announced = ("", "")
        self._timesync_s: float | None = None
        self._timesync_void: float | None = None
        """What systemd-timesyncd had said before the clock was set by somebody: it vouches for that no longer."""
        self._lock = threading.Lock()
        self._look = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def linux_boot(self) -> str:
        """Linux's own name of this boot; empty where there is none."""
        try:
            return (self._root / "proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return ""

    def uptime_ms(self) -> int:
        """Milliseconds since Linux started, suspended time included."""
        return self._boottime() // 1_000_000

    def stamp(self) -> tuple[int | None, str]:
        """Unix milliseconds and how they are known, as a record carries them: `(None, "none")` if they are not."""
        with self._lock:
            boot, real = self._moment()
            self._notice_step(real - boot)
            basis = self._basis
        t_ms = (real if basis.system else basis.offset_ns + boot) // 1_000_000
        if basis.tq == "none" or not BUILT_MS <= t_ms < TIME_CEILING:
            return None, "none"
        return t_ms, basis.tq

    def fix(self, t_ms: int) -> None:
        """Take a time from a satellite, Unix ms, true at the moment of the call. Any thread may call it."""
        if not BUILT_MS <= t_ms < TIME_CEILING:
            return  # a receiver without a fix counts from its own epoch
        boot = self._boottime()
        first = self._fix is None
        self._fix = Fix(t_ms * 1_000_000 - boot, boot)
        if first:
            self._look_soon()

    def remember(self, t_ms: int) -> None:
        """A time that was known in an earlier life of this gateway: a battery-backed clock below it has stopped."""
        self._rtc_floor_ms = max(self._rtc_floor_ms, t_ms)

    async def look(self) -> None:
        """Find out now how the time is known; await it once before the first record is dated."""
        self.stamp()  # a step from before is forgotten about here, one during the look spoils it
        steps = self._steps
        tracking = await look.tracking(self._chronyc) if self.config.trust == "auto" else None
        said = self._timesync(), self._kernel(), look.rtc(self._root)
        with self._lock:
            boot, real = self._moment()
            self._notice_step(real - boot)
            if self._steps == steps:
                seen = Facts(real, boot, tracking, *said, self._fix)
                self._shift = real - boot
                self._basis = judge(seen, self._basis, self.config, self._rtc_floor_ms)
                self._offset_s = _offset(seen)
            told, self._told = self._told, []
        self._tell(told)

    def _moment(self) -> tuple[int, int]:
        """Time since boot and the system's clock, ns, as of one moment; the lock is held, so moments keep their order.

        A process that is held up for a second between the two reads would otherwise take that for a clock that
        was set, and its records would carry no time.
        """
        boot, real = self._boottime(), self._now()
        for _ in range(_TRIES):
            after = self._boottime()
            if after - boot < _APART_NS:
                break
            boot, real = after, self._now()
        return boot, real

    def _timesync(self) -> float | None:
        """When systemd-timesyncd last set the clock; None if that was before somebody else did."""
        self._timesync_s = look.timesync(self._root)
        return None if self._timesync_s == self._timesync_void else self._timesync_s

    async def run(self) -> None:
        """Look for ever: at intervals, and at once when the clock was set or a first satellite time came."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._look.clear()
                await self.look()
                self._announce()
                await until(self._look, self.config.look_s)
                self.stamp()  # a step is noticed even while no records come
        finally:
            self._loop = None

    def state(self) -> ClockState:
        """What is known now."""
        with self._lock:
            basis = self._basis
            confirmed = (self._boottime() - basis.confirmed_ns) / 1e9 if basis.tq != "none" else None
            return ClockState(basis.tq, basis.source, self._offset_s, self._steps, self._last_step, confirmed)

    def _notice_step(self, shift: int) -> None:
        """Forget the basis if the system's clock was set since the last look; the lock is held."""
        by = shift - self._shift
        if abs(by) < _STEP_NS:
            return
        self._shift = shift
        self._timesync_void = self._timesync_s
        self._steps += 1
        self._last_step = Step(by / 1e9, self._boottime() // 1_000_000)
        self._told = [*self._told[-9:], self._last_step]  # a clock that jumps all the time fills no list
        if self._basis.system:
            self._basis = UNKNOWN
        self._look_soon()

    def _look_soon(self) -> None:
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._look.set)
            except RuntimeError:
                pass  # the loop has ended; nobody waits

    def _tell(self, steps: list[Step]) -> None:
        for step in steps:
            _log.warning("the clock was set", by_s=round(step.by_s, 3), up_ms=step.up_ms)
            if self.on_step is not None:
                self.on_step(step)

    def _announce(self) -> None:
        """Log how the time is known if that is news; only the gateway does, not a check in passing."""
        if self._announced != (self._basis.tq, self._basis.source):
            self._announced = self._basis.tq, self._basis.source
            _log.info("how the time is known", tq=self._basis.tq, source=self._basis.source)


def _offset(seen: Facts) -> float | None:
    """Ours minus true time in s, as chrony estimates it or a satellite said."""
    if seen.tracking is not None and seen.tracking.synchronised:
        return seen.tracking.offset_s
    if seen.fix is not None:
        return (seen.real_ns - seen.boot_ns - seen.fix.offset_ns) / 1e9
    return None
