"""What has happened on the bench, in order, for whoever waits for it."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Event", "EventLog"]

_KEPT = 20000


class Event(NamedTuple):
    """`number` counts from 1; `at_us` is virtual time; `facts` are what there is to know."""

    number: int
    at_us: int
    kind: str
    facts: dict[str, Any]


class EventLog:
    """The last events; those before are forgotten. For any thread."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=_KEPT)
        self._news = threading.Condition()
        self._count = 0
        self._failure: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Nothing will happen any more: whoever waits is told so."""
        with self._news:
            self._failure = error
            self._news.notify_all()

    def add(self, at_us: int, kind: str, **facts: Any) -> None:
        """Something has happened."""
        with self._news:
            self._count += 1
            self._events.append(Event(self._count, at_us, kind, facts))
            self._news.notify_all()

    @property
    def mark(self) -> int:
        """The number of the last event, to wait for what comes after it."""
        return self._count

    def all(self, kind: str | None = None, since: int = 0) -> list[Event]:
        """Events after `since`, of one kind or of all."""
        with self._news:
            return [one for one in self._events if one.number > since and kind in (None, one.kind)]

    def wait_for(
        self,
        kind: str,
        deadline_s: float = 60.0,
        since: int = 0,
        match: Callable[[Event], bool] | None = None,
    ) -> Event:
        """The first event of a kind after `since` that fits. Raises TimeoutError with what there was instead."""
        end = time.monotonic() + deadline_s
        with self._news:
            while True:
                for one in self._events:
                    if one.number > since and one.kind == kind and (match is None or match(one)):
                        return one
                if self._failure is not None:
                    raise RuntimeError("the bench has ended") from self._failure
                if not self._news.wait(end - time.monotonic()) and time.monotonic() >= end:
                    last = "\n".join(
                        f"  {one.at_us / 1e6:.3f} s {one.kind} {one.facts}" for one in self._tail()
                    )
                    raise TimeoutError(
                        f"no {kind!r} within {deadline_s} s; the last of what there was:\n{last}"
                    )

    def _tail(self) -> list[Event]:
        return list(self._events)[-15:]
