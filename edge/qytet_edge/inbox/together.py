"""Several coroutines of one source that live and die together."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from qytet_edge.ending import ended

__all__ = ["together"]


async def together(*jobs: Coroutine[Any, Any, Any]) -> None:
    """Run them side by side; the first to fail ends the others, and its own error is raised, not a group's."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await ended(*tasks)
        await asyncio.gather(*tasks, return_exceptions=True)  # so that no error counts as never looked at
