"""Between the event loop and the writer's thread: what waits to be written or answered, and the answers back."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, TypeVar, cast

from qytet_edge.spool.change import Change
from qytet_edge.spool.faults import Fault, classify
from qytet_edge.spool.model import SpoolError
from qytet_edge.spool.store import Store

__all__ = ["Ask", "Desk", "Job"]

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Job(Generic[T]):
    """A write that waits for its transaction. `frees`: it makes room, so it is tried on a full disk, too.

    Its caller's cancellation cancels the future, and the next attempt leaves the write out.
    """

    stage: Callable[[Change], T]
    future: "asyncio.Future[T]"
    frees: bool = False
    since: float = field(default_factory=monotonic)


@dataclass(eq=False, slots=True)
class Ask:
    """A question to the file."""

    look: Callable[[Store], Any]
    future: "asyncio.Future[Any]"


class Desk:
    """`write` and `ask` belong to the event loop, everything else to the thread.

    Nothing here bounds how many wait: each waiting write is a caller that awaits it.
    """

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._jobs: list[Job[Any]] = []
        self._asks: list[Ask] = []
        self._answers: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closing = False
        self._closed = True

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to take work from this event loop."""
        self._loop = loop
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many writes wait."""
        return len(self._jobs)

    async def write(self, stage: Callable[[Change], T], *, frees: bool) -> T:
        """Wait until a write is durable. Raises SpoolError if it cannot be any more."""
        job: Job[T] = Job(stage, asyncio.get_running_loop().create_future(), frees)
        self._put(job)
        return await job.future

    async def ask(self, look: Callable[[Store], T]) -> T:
        """Wait for an answer out of the file. Raises SpoolError if there will be none."""
        question = Ask(look, asyncio.get_running_loop().create_future())
        self._put(question)
        return cast("T", await question.future)

    def _put(self, work: Job[Any] | Ask) -> None:
        with self._news:
            if self._closed or self.closing:
                raise SpoolError("The spool is closed.")
            if isinstance(work, Job):
                self._jobs.append(work)
            else:
                self._asks.append(work)
            self._news.notify()

    def shut(self) -> None:
        """Take no more work, and wake the thread."""
        with self._news:
            self.closing = True
            self._news.notify()

    def wait(self, due: Callable[[float], float], longest_s: float) -> bool:
        """Sleep until `due(now)` has come or `longest_s` has passed; False as soon as all is to end."""
        with self._news:
            latest = monotonic() + longest_s
            while not self.closing:
                now = monotonic()
                until = min(due(now), latest)
                if until <= now:
                    return True
                self._news.wait(until - now)
        return False

    def first_since(self) -> float | None:
        """When the oldest waiting write came; None if none waits."""
        return self._jobs[0].since if self._jobs else None

    @property
    def has_asks(self) -> bool:
        """Whether a question waits."""
        return bool(self._asks)

    def jobs(self) -> list[Job[Any]]:
        """All writes that wait now and are still wanted."""
        with self._news:
            self._jobs = [job for job in self._jobs if not job.future.cancelled()]
            return list(self._jobs)

    def answer_asks(self, store: Store) -> None:
        """Answer every question. What the file cannot answer now stays, and its sqlite3.Error is raised."""
        while self._asks:
            question = self._asks[0]
            try:
                self._answers.append((question.future, question.look(store), None))
            except Exception as error:
                if classify(error) is not Fault.BUG:
                    raise
                self._answers.append((question.future, None, error))
            with self._news:
                del self._asks[0]

    def done(self, jobs: Sequence[Job[Any]], results: Sequence[Any], error: Exception | None = None) -> None:
        """These writes have ended."""
        gone = {id(job) for job in jobs}
        with self._news:
            self._jobs = [job for job in self._jobs if id(job) not in gone]
        self._answers += [(job.future, result, error) for job, result in zip(jobs, results, strict=True)]

    def deliver(self) -> None:
        """Hand the answers over to the event loop."""
        answers, self._answers = self._answers, []
        if answers and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, answers)

    def end(self, why: SpoolError) -> None:
        """Refuse everything that still waits."""
        with self._news:
            self._closed = True
            futures = [job.future for job in self._jobs] + [question.future for question in self._asks]
            self._jobs, self._asks = [], []
        self._answers += [(future, None, why) for future in futures]
        self.deliver()


def _settle(answers: list[tuple["asyncio.Future[Any]", Any, BaseException | None]]) -> None:
    for future, result, error in answers:
        if future.done():  # its caller was cancelled
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
