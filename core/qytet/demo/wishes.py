"""Ctrl-C, SIGTERM and a closed terminal as wishes: the first asks to stop in order, the second at once."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

from qytet.asked import Asked

__all__ = ["Wishes"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Wishes:
    """A context manager of the main thread.

    While nothing runs that would have to be called to account (`ready` was not called), the first wish
    interrupts whatever is being started; afterwards it only sets `stop`. The second one sets `hurry` and
    interrupts whatever is being waited for; more change nothing.
    """

    def __init__(self) -> None:
        self.stop = Asked()
        self.hurry = False
        self._patient = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._heed) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def ready(self) -> None:
        """From now on the first wish is heeded by whoever looks at `stop`."""
        self._patient = True

    def _heed(self, _number: int, _frame: FrameType | None) -> None:
        if not self.stop.is_set():
            self.stop.set()
            if not self._patient:
                raise KeyboardInterrupt
        elif not self.hurry:
            self.hurry = True
            raise KeyboardInterrupt
