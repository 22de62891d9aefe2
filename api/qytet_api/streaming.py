"""Answers of any length in bounded memory: a bounded number at once, and none for a caller who stops reading."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from qytet_api.problems import unavailable

__all__ = ["PacedStream", "StreamGate"]

_WAIT_SECONDS = 3.0
_SEND_SECONDS = (
    30.0  # a caller who takes no byte for so long loses the connection, the database keeps its own
)


class StreamGate:
    """Lets so many streams hold a connection at once that short questions always find one."""

    def __init__(self, pool_size: int) -> None:
        self._places = asyncio.Semaphore(max(1, pool_size - 2))

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place, for as long as the stream lasts. Raises ProblemError 503 if none becomes free."""
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._places.acquire()
        except TimeoutError:
            raise unavailable(
                "Too many long answers are being read at the moment. Try again shortly."
            ) from None
        try:
            yield
        finally:
            self._places.release()


class PacedStream(StreamingResponse):
    """A stream that owns what it reads from (`held`) and lets go of it however the stream ends."""

    def __init__(
        self,
        content: AsyncIterator[bytes],
        *,
        held: AsyncExitStack,
        media_type: str,
        headers: dict[str, str] | None = None,
        send_seconds: float = _SEND_SECONDS,
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._held = held
        self._send_seconds = send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream; raises TimeoutError if the caller stops reading."""

        async def paced(message: Message) -> None:
            async with asyncio.timeout(self._send_seconds):
                await send(message)

        async with self._held:
            await super().__call__(scope, receive, paced)
