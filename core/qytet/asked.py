"""An event that a signal brings: its handler may set it wherever the main thread happens to be."""

import _thread
import threading

__all__ = ["Asked"]


class Asked(threading.Event):
    """Set once, from a signal's handler or elsewhere; waited for in any thread.

    A handler runs in the main thread between any two of its steps, also within `wait` with the event's lock in hand.
    A plain event that is set there waits for that lock, and so for itself, for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = False

    def is_set(self) -> bool:
        """Whether it was asked."""
        return self._asked

    def set(self) -> None:
        """Never waits: who waits for this event is woken by a thread of its own."""
        self._asked = True
        _thread.start_new_thread(super().set, ())  # not threading.Thread, which has a lock of its own

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it was asked before the time ran out."""
        if not self._asked:
            super().wait(timeout)
        return self._asked
