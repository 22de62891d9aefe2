"""A Sink that keeps everything in memory, and can be held up as a full disk holds up the spool."""

import asyncio
from collections.abc import Callable, Sequence

from qytet_edge.records import Checkpoint, Notice, Reading, Relayed

__all__ = ["MemorySink"]


class MemorySink:
    """What a source put, in order; `checkpoints` outlives a restart of the source, as the spool's do."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.relayed: list[Relayed] = []
        self.notices: list[Notice] = []
        self.held: list[tuple[str, str, int]] = []
        self.checkpoints: dict[str, bytes] = {}
        self.troubles: list[tuple[str, str]] = []
        self.puts = 0
        self.beats = 0
        self.waiting = 0
        self.room = asyncio.Event()
        self.room.set()
        self._changed = asyncio.Condition()

    async def put(self, readings: Sequence[Reading], checkpoint: Checkpoint | None = None) -> None:
        await self._room()
        self.readings += readings
        if checkpoint is not None:
            self.checkpoints[checkpoint.source] = checkpoint.state
        self.puts += 1
        await self._tell()

    async def relay(self, records: Sequence[Relayed]) -> None:
        await self._room()
        self.relayed += records
        await self._tell()

    async def holds(self, device: str, boot: str, lo: int) -> None:
        await self._room()
        self.held.append((device, boot, lo))
        await self._tell()

    async def notify(self, notice: Notice) -> None:
        await self._room()
        self.notices.append(notice)
        await self._tell()

    async def checkpoint(self, source: str) -> bytes | None:
        return self.checkpoints.get(source)

    def beat(self) -> None:
        self.beats += 1
        asyncio.get_running_loop().create_task(self._tell())

    def trouble(self, what: str, *, device: str = "") -> None:
        self.troubles.append((device, what))
        asyncio.get_running_loop().create_task(self._tell())

    async def until(self, holds: Callable[[], bool], seconds: float = 90) -> None:
        """Wait until a condition on what came holds."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(holds)

    async def _room(self) -> None:
        self.waiting += 1
        await self._tell()
        try:
            await self.room.wait()
        finally:
            self.waiting -= 1

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
