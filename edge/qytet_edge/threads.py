"""Threads for blocking calls: each source has a few of its own, so that one that hangs takes none from the others.

`asyncio.to_thread` uses the loop's default executor; this one looks who asks (a context variable that the
supervisor sets in each source's task) and queues the call with that owner's threads. They are daemons: a call
that never returns (a dead serial driver) does not keep the process from ending.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

__all__ = ["OWNER", "THREADS", "SourceThreads"]

OWNER: ContextVar[str] = ContextVar("qytet_edge_owner", default="")
"""On whose behalf the current task works."""
THREADS = 4
"""Threads of one owner, at most; `""` (the gateway itself) has as many."""
WAITING = 64
"""Calls of one owner that wait for a thread, at most."""

P = ParamSpec("P")
T = TypeVar("T")


class SourceThreads(ThreadPoolExecutor):
    """An executor for `loop.set_default_executor`, with a small crew of daemon threads for each owner."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # its own thread is never started: `submit` below does not use it
        self._crews: dict[str, _Crew] = {}
        self._guard = threading.Lock()
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Queue a call with the owner's threads. Raises OSError if they all hang and too many calls wait."""
        owner = OWNER.get()
        with self._guard:
            if self._closed:
                raise RuntimeError("the threads are closed")
            crew = self._crews.setdefault(owner, _Crew(owner or "gateway"))
        future: Future[T] = Future()
        crew.add(future, lambda: fn(*args, **kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let idle threads end; never waits for one that hangs."""
        with self._guard:
            self._closed = True
            crews = list(self._crews.values())
        for crew in crews:
            crew.close()
        super().shutdown(wait=wait, cancel_futures=cancel_futures)


class _Crew:
    """One owner's threads; a thread is started when a call waits and none is idle."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._wake = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def add(self, future: "Future[Any]", call: Callable[[], Any]) -> None:
        with self._wake:
            if len(self._calls) >= WAITING:
                raise OSError(f"all {self._threads} threads of {self._name} hang and {WAITING} calls wait")
            self._calls.append((future, call))
            if self._idle < len(self._calls) and self._threads < THREADS:
                self._threads += 1
                name = f"{self._name}-{self._threads}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
            self._wake.notify()

    def close(self) -> None:
        with self._wake:
            self._closed = True
            while self._calls:
                self._calls.popleft()[0].cancel()
            self._wake.notify_all()

    def _work(self) -> None:
        while (found := self._next()) is not None:
            future, call = found
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 (whatever it is belongs to who asked)
                future.set_exception(error)
            del found, future, call  # or the thread would hold them until the next call

    def _next(self) -> "tuple[Future[Any], Callable[[], Any]] | None":
        with self._wake:
            while not self._calls:
                if self._closed:
                    return None
                self._idle += 1
                self._wake.wait()
                self._idle -= 1
            return self._calls.popleft()
