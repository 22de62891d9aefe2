"""Ctrl-C and SIGTERM as a wish to stop: the first two are remembered, the third interrupts."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["StopWish"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopWish:
    """A context manager; calling it tells whether someone has asked to stop. Main thread only."""

    def __init__(self) -> None:
        self._wished = 0
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Whether someone has asked to stop."""
        return self._wished > 0

    def again(self) -> None:
        """Forget the first wish, so that the next one ends the waiting that follows it."""
        self._wished = 0

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._heed) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heed(self, _number: int, _frame: FrameType | None) -> None:
        self._wished += 1
        if self._wished > 2:
            raise KeyboardInterrupt
