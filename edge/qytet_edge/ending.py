"""Ending tasks for certain: a cancellation can be swallowed, so it is repeated until it works."""

import asyncio
from typing import Any

__all__ = ["ended"]

AGAIN_S = 0.5


async def ended(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks until all have ended; what they raised stays with them.

    Until Python 3.12 `asyncio.wait_for` loses a cancellation that comes at the moment when what it waits for
    ends (CPython gh-86296); libraries use it, and one request would leave their caller at work for ever.
    """
    while working := [task for task in tasks if not task.done()]:
        for task in working:
            task.cancel()
        await asyncio.wait(working, timeout=AGAIN_S)
