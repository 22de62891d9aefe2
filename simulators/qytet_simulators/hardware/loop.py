"""One thread in which a whole bench lives: it waits for descriptors and runs what other threads hand in."""

import os
import queue
import selectors
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Protocol, TypeVar

__all__ = ["Loop", "Readable"]

_Answer = TypeVar("_Answer")


class Readable(Protocol):
    """A socket, or whatever else has a descriptor."""

    def fileno(self) -> int:
        """Its descriptor."""


class Loop:
    """`step(idle)` is called again and again, and says how many seconds to wait at most (None: for ever).

    `idle` is whether nothing had happened when it was looked last.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[bool], float | None],
        on_failure: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._step, self._on_failure = step, on_failure
        self._running = False
        self._over = threading.Event()
        self._awaited: set[Future[Any]] = set()
        self.failure: BaseException | None = None
        """What ended the thread, if an error did."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._drain)

    def start(self) -> None:
        """Begin."""
        self._running = True
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close what belongs to it."""
        if self._thread.is_alive():
            self._jobs.put(self._end)
            self._wake()
            self._thread.join(10)
        if not self._selector.get_map():
            return
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def call(self, act: Callable[[], _Answer], deadline_s: float = 30.0) -> _Answer:
        """Run `act` in the loop's thread, and return what it returns or raise what it raises."""
        if threading.current_thread() is self._thread:
            return act()
        if not self._thread.is_alive():
            raise RuntimeError("the bench has ended") from self.failure
        done: Future[_Answer] = Future()
        self._awaited.add(done)

        def job() -> None:
            try:
                done.set_result(act())
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever called
                done.set_exception(error)

        self._jobs.put(job)
        self._wake()
        if self._over.is_set():
            done.cancel()
        try:
            return done.result(deadline_s)
        except CancelledError:
            raise RuntimeError("the bench has ended") from self.failure
        finally:
            self._awaited.discard(done)

    def watch(
        self, what: int | Readable, on_ready: Callable[[int], None], *, read: bool = True, write: bool = False
    ) -> None:
        """Call `on_ready(mask)` whenever it can be read (mask 1) or written (2); replaces an earlier wish."""
        mask = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
        try:
            self._selector.modify(what, mask, on_ready)
        except KeyError:
            self._selector.register(what, mask, on_ready)

    def forget(self, what: int | Readable) -> None:
        """Watch it no longer; harmless if nobody does."""
        try:
            self._selector.unregister(what)
        except (KeyError, ValueError):
            pass

    def poll(self, timeout_s: float | None) -> bool:
        """Serve what is ready; tells whether anything was."""
        ready = self._selector.select(timeout_s)
        for key, mask in ready:
            served: Any = key.data
            if self._selector.get_map().get(key.fd) == key:  # else what came before has ended or changed it
                served(mask)
        return bool(ready)

    def _run(self) -> None:
        try:
            idle = False
            while self._running:
                idle = not self.poll(self._step(idle))
        except BaseException as error:  # noqa: BLE001 - told to whoever calls next
            self.failure = error
            self._on_failure(error)
        finally:
            self._over.set()
            for done in list(self._awaited):
                done.cancel()  # nobody will do it any more

    def _end(self) -> None:
        self._running = False

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            pass  # it is awake

    def _drain(self, _: int) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass
        while not self._jobs.empty():
            self._jobs.get()()
