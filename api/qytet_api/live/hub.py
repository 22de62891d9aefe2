"""The cities that somebody watches: a feed begins with its first reader and ends with its last."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qytet_api.database import Database
from qytet_api.live.feed import Feed, Reader
from qytet_api.problems import unavailable

__all__ = ["Hub"]

MAX_READERS = 500


class Hub:
    """All feeds of one application."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._feeds: dict[str, Feed] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.stopping = asyncio.Event()

    @property
    def feeds(self) -> dict[str, Feed]:
        """Feeds by city, to be looked at."""
        return self._feeds

    @property
    def readers(self) -> int:
        """How many clients watch."""
        return sum(len(feed.readers) for feed in self._feeds.values())

    @asynccontextmanager
    async def reader(self, city: str) -> AsyncIterator[Reader]:
        """A reader of that city for as long as the context lasts. Raises ProblemError 503 when full."""
        if self.readers >= MAX_READERS or self.stopping.is_set():
            raise unavailable("Too many clients watch at the moment. Ask /v1/latest instead.")
        feed = self._feeds.get(city)
        if feed is None:
            feed = self._feeds[city] = Feed(city, self._database)
            self._tasks[city] = asyncio.create_task(feed.run(), name=f"live {city}")
        reader = feed.join()
        try:
            yield reader
        finally:
            feed.readers.discard(reader)
            if not feed.readers and self._feeds.get(city) is feed:
                await self._end(city)

    def stop(self) -> None:
        """End every stream; call it in the event loop's thread."""
        self.stopping.set()
        for feed in self._feeds.values():
            for reader in feed.readers:
                reader.wake()

    async def close(self) -> None:
        """End every stream and every poll."""
        self.stop()
        while self._feeds:  # a last reader may leave, and end its feed, while we wait for another
            await self._end(next(iter(self._feeds)))

    async def _end(self, city: str) -> None:
        del self._feeds[city]
        task = self._tasks.pop(city)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
