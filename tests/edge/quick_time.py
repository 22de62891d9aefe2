"""An event loop whose time passes as fast as its tasks allow: a slow machine misses no moment on it."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

__all__ = ["LoopTime", "QuickLoop", "quickly"]

P = ParamSpec("P")
T = TypeVar("T")

_LOOKS = 8
_TURN_S = 1e-7
"""What a turn of the loop takes: timers may come a nanosecond early, and who looks at the clock waits on."""


def quickly(work: Coroutine[Any, Any, T], *, grace_s: float = 0.0) -> T:
    """Run this on a QuickLoop; what it leaves to threads is done at once, so that no jump comes between."""
    with asyncio.Runner(loop_factory=lambda: QuickLoop(grace_s)) as runner:
        runner.get_loop().set_default_executor(_NoThreads())
        return runner.run(work)


class LoopTime:
    """In the place of the module `time` where a source asks it: the running loop's own seconds."""

    @staticmethod
    def monotonic() -> float:
        """Seconds since the loop was made."""
        return asyncio.get_running_loop().time()


class QuickLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer when there is nothing to do; what other threads do must wake it as usual.

    `grace_s`: so long in real time it looks whether something comes before it jumps. A terminal needs some: what
    is written at one end is carried to the other by the kernel's own threads.
    """

    def __init__(self, grace_s: float = 0.0) -> None:
        self._passed_s = 0.0
        super().__init__(_Jumping(self, grace_s))

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

    def __init__(self, loop: QuickLoop, grace_s: float) -> None:
        super().__init__()
        self._loop = loop
        self._look_s = grace_s / _LOOKS
        """Several short looks: a machine that stands still swallows one, not all."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; with nothing ready, `timeout` seconds later."""
        self._loop.jump(_TURN_S)
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(None if timeout is None else 0)
        if ready or not timeout:
            return ready
        for _ in range(_LOOKS if self._look_s else 0):
            if ready := super().select(self._look_s):
                return ready
        self._loop.jump(timeout)
        return []


class _NoThreads(ThreadPoolExecutor):
    """Does what `asyncio.to_thread` is asked for at once, in the loop's own thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """The call, done."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 (it belongs to who asked)
            future.set_exception(error)
        return future
