"""A sink that keeps what sources say in lists, and can be waited on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from qytet_edge.ports import Sink, Source
from qytet_edge.records import Checkpoint, Notice, Reading, Relayed

DEADLINE_S = 90.0


class RecordingSink:
    """Everything that was put, in order; `full` makes every put wait, as a full disk does."""

    def __init__(self, checkpoints: dict[str, bytes] | None = None) -> None:
        self.readings: list[Reading] = []
        self.troubles: list[str] = []
        self.checkpoints = dict(checkpoints or {})
        self.beats = 0
        self.full = False
        self.seen: Callable[[], None] = lambda: None
        self._news = asyncio.Condition()

    async def put(self, readings: Sequence[Reading], checkpoint: Checkpoint | None = None) -> None:
        async with self._news:
            await self._news.wait_for(lambda: not self.full)
            self.readings += readings
            if checkpoint is not None:
                self.checkpoints[checkpoint.source] = checkpoint.state
            self.seen()
            self._news.notify_all()

    async def relay(self, records: Sequence[Relayed]) -> None:
        raise AssertionError(records)

    async def holds(self, device: str, boot: str, lo: int) -> None:
        raise AssertionError(device, boot, lo)

    async def notify(self, notice: Notice) -> None:
        raise AssertionError(notice)

    async def checkpoint(self, source: str) -> bytes | None:
        return self.checkpoints.get(source)

    def beat(self) -> None:
        self.beats += 1
        self._stir()

    def trouble(self, what: str, *, device: str = "") -> None:
        self.troubles.append(f"{device}: {what}" if device else what)
        self._stir()

    def values(self, key: str) -> list[float | int | None]:
        return [reading.values[key] for reading in self.readings if key in reading.values]

    async def has_room(self) -> None:
        async with self._news:
            self.full = False
            self._news.notify_all()

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S), self._news:
            await self._news.wait_for(happened)

    def _stir(self) -> None:
        async def tell() -> None:
            async with self._news:
                self._news.notify_all()

        task = asyncio.ensure_future(tell())
        _TASKS.add(task)
        task.add_done_callback(_TASKS.discard)


_TASKS: set[asyncio.Future[None]] = set()


@asynccontextmanager
async def running(source: Source, sink: Sink) -> AsyncIterator[asyncio.Task[None]]:
    """The source at work; an error that it raised is raised at the end unless the test took it."""
    task = asyncio.create_task(source.run(sink))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and task not in TAKEN and (error := task.exception()):
            raise error


TAKEN: set[asyncio.Task[None]] = set()


async def ended(task: asyncio.Task[None]) -> BaseException:
    """The error that ends the source; fails if it does not end in time."""
    TAKEN.add(task)
    await asyncio.wait({task}, timeout=DEADLINE_S)
    assert task.done()
    error = task.exception()
    assert error is not None
    return error
