"""Ending tasks for certain: a cancellation can be swallowed, so it is repeated until it works, and not lost here."""

import asyncio
import contextlib
from typing import Any

__all__ = ["ended", "until"]

AGAIN_S = 0.5


async def ended(*tasks: "asyncio.Task[Any]", again_s: float = AGAIN_S) -> None:
    """Cancel tasks until all have ended; what they raised stays with them.

    A task that is told again while it ends in order is interrupted in that: `again_s` must be longer than its end.

    Until Python 3.12 `asyncio.wait_for` loses a cancellation that comes at the moment when what it waits for
    ends (CPython gh-86296); libraries use it, and one request would leave their caller at work for ever.
    """
    while working := [task for task in tasks if not task.done()]:
        for task in working:
            task.cancel()
        await asyncio.wait(working, timeout=again_s)


async def until(event: asyncio.Event, seconds: float | None) -> None:
    """Wait for the event, but no longer than this; unlike `asyncio.wait_for` of 3.11 it loses no cancellation."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
