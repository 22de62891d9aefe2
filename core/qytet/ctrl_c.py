"""Ctrl-C that is never lost: Python raises it wherever the program happens to be, also where a library swallows it."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["CtrlC"]


class CtrlC:
    """A context manager; `seen` is true once Ctrl-C came, whatever became of the KeyboardInterrupt.

    With `gently` the first one raises nothing: for a loop that looks at `seen` soon. Outside of the main thread, where
    Python takes no signals, nothing is changed.
    """

    def __init__(self, *, gently: bool = False) -> None:
        self.seen = False
        self._gently = gently
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._came)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _came(self, _number: int, _frame: FrameType | None) -> None:
        again, self.seen = self.seen, True
        if again or not self._gently:
            raise KeyboardInterrupt
