"""One condition's memory: its last value, since when it holds, and when it becomes unknown; all on given times."""

from dataclasses import dataclass
from typing import Any

from qytet_edge.rules.config import Condition

__all__ = ["Watch"]


@dataclass
class Watch:
    """A condition at work. Times are seconds since boot, of when things were measured."""

    config: Condition
    device: str
    value: float | None = None
    seen: float | None = None
    holds: bool = False
    since: float = 0.0

    def feed(self, value: float, at: float) -> bool:
        """Take a reading measured at `at`; whether it begins or ends to hold.

        One older than the last is no news. A gap longer than `stale_s` breaks what held before.
        """
        if self.seen is not None and at < self.seen:
            return False
        known = self.seen is not None and at - self.seen <= self.config.stale_s
        held = self.holds and known
        self.holds = self._crossed(value, held)
        if self.holds and not held:
            self.since = at
        self.value, self.seen = value, at
        return self.holds != held

    def truth(self, now: float) -> bool | None:
        """Whether the condition counts as met; None while it is unknown."""
        if self.seen is None or now - self.seen >= self.config.stale_s:
            return None
        return self.holds and now - self.since >= self.config.for_s

    def next(self, now: float) -> float | None:
        """When `truth` may change by time alone."""
        if self.seen is None or now - self.seen >= self.config.stale_s:
            return None
        due = [self.seen + self.config.stale_s]
        if self.holds and now - self.since < self.config.for_s:
            due.append(self.since + self.config.for_s)
        return min(due)

    def describe(self, now: float) -> str:
        """The condition and what was seen, for an event."""
        limit = self.config
        side = f"above {limit.above:g}" if limit.above is not None else f"below {limit.below:g}"
        held = f" for {limit.for_s:g} s" if limit.for_s else ""
        if self.truth(now) is None:
            return f"{self.device} {limit.key} is unknown ({side}{held}?)"
        return f"{self.device} {limit.key} = {self.value:g} ({side}{held})"

    def save(self, now: float) -> dict[str, Any]:
        """Plain data for `restore`; what is unknown is not kept."""
        seen = None if self.truth(now) is None else self.seen
        return {"value": self.value, "seen": seen, "holds": self.holds, "since": self.since}

    def restore(self, saved: dict[str, Any], now: float, kept_at: float | None) -> None:
        """Go on where an earlier run stopped, saved at `kept_at`; None: in another boot, ages are unknown.

        A restart is no fault of the instrument: its last word gets the whole `stale_s` again. What held goes on
        holding only if the break was shorter than that.
        """
        if saved["seen"] is None:
            return
        self.value, self.holds, self.seen = saved["value"], saved["holds"], now
        short = kept_at is not None and 0 <= now - kept_at <= self.config.stale_s
        self.since = min(saved["since"], now) if short else now

    def _crossed(self, value: float, held: bool) -> bool:
        slack = self.config.hysteresis if held else 0.0
        if self.config.above is not None:
            return value > self.config.above - slack
        return self.config.below is not None and value < self.config.below + slack
