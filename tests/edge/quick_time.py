"""An event loop whose time passes as fast as its tasks allow: a slow machine misses no moment on it."""

import asyncio
import selectors

__all__ = ["QuickLoop"]


class QuickLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer when there is nothing to do; what other threads do must wake it as usual."""

    def __init__(self) -> None:
        self._passed_s = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._passed_s

    def time_ns(self) -> int:
        """The same in nanoseconds, for a clock to be replaced by."""
        return round(self._passed_s * 1e9)

    def jump(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._passed_s += seconds


class _Jumping(selectors.DefaultSelector):  # type: ignore[valid-type,misc]
    """Never waits for a timer: the time until then passes at once."""

    def __init__(self, loop: QuickLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; with nothing ready, `timeout` seconds later."""
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(None if timeout is None else 0)
        if not ready and timeout:
            self._loop.jump(timeout)
        return ready
