"""A street lamp behind a dimming output: what it is told, and the power that it takes."""

from collections import deque
from collections.abc import Callable

from qytet_simulators.hardware.ports import PinLine

__all__ = ["Lamp"]

_KEPT = 20_000


class Lamp:
    """A PwmLoad for 0-10 V and PWM, and a PinDevice for a relay. `levels` has (Unix ms, %) of each change.

    `now_ms()` is the true time. Power is standby + (rated - standby) (0.05 + 0.95 level) while it is on.
    """

    def __init__(
        self,
        now_ms: Callable[[], int],
        *,
        rated_w: float = 96.0,
        standby_w: float = 0.4,
        invert: bool = False,
    ) -> None:
        self._now_ms = now_ms
        self.rated_w, self.standby_w, self._invert = rated_w, standby_w, invert
        self.level = 0.0
        self.levels: deque[tuple[int, float]] = deque(maxlen=_KEPT)

    def plugged(self, line: PinLine) -> None:
        """Its mains is not the board's: it changes nothing."""

    def modulated(self, frequency_hz: int, duty: float) -> None:
        """The board dims it; without a signal a 0-10 V input floats up, but the node's stage pulls it to 0."""
        self._set(100 * (1 - duty if self._invert and frequency_hz else duty))

    def driven(self, level: int | None) -> None:
        """The board switches it."""
        self._set(100.0 * bool(level) if not self._invert else 100.0 * (level == 0))

    def level_at(self, unix_ms: float) -> float:
        """Its level at a time, as far as it is remembered."""
        return next((level for at, level in reversed(self.levels) if at <= unix_ms), 0.0)

    def watts_at(self, unix_ms: float) -> float:
        """What it took at a time."""
        level = self.level_at(unix_ms)
        if level <= 0:
            return self.standby_w
        return self.standby_w + (self.rated_w - self.standby_w) * (0.05 + 0.95 * level / 100)

    def _set(self, level: float) -> None:
        if level != self.level:
            self.levels.append((self._now_ms(), level))
        self.level = level
