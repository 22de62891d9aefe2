"""The records just kept, for whoever sends them live: a bounded ring in memory, filled after each commit."""

import asyncio
from collections import deque
from collections.abc import Sequence

from qytet_edge.records import Record

__all__ = ["Fresh"]


class Fresh:
    """Used on the event loop only. What does not fit falls out at the old end; `Spool.read` still finds it.

    `overflowed` counts what fell out, so that a sender knows that there is something to look for.
    """

    def __init__(self, size: int) -> None:
        self.overflowed = 0
        self._ring: deque[Record] = deque(maxlen=size)
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ring)

    def extend(self, records: Sequence[Record]) -> None:
        """Put records in that are durable now."""
        size = self._ring.maxlen or 0
        self.overflowed += max(0, len(self._ring) + len(records) - size)
        self._ring.extend(records)
        if self._ring:
            self._filled.set()

    def take(self, limit: int) -> list[Record]:
        """Take at most `limit` records out, oldest first; an empty list if there are none."""
        taken = [self._ring.popleft() for _ in range(min(limit, len(self._ring)))]
        if not self._ring:
            self._filled.clear()
        return taken

    def clear(self) -> int:
        """Forget them all (they stay in the spool); returns how many."""
        count = len(self._ring)
        self._ring.clear()
        self._filled.clear()
        return count

    async def wait(self) -> None:
        """Return as soon as there is something to take."""
        await self._filled.wait()
