"""Long answers never take the database away from short ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest

from qytet_api.app import create_app
from qytet_api.problems import ProblemError
from qytet_api.streaming import PacedStream, StreamGate
from tests.api import world
from tests.api.conftest import client_of, settings_for
from tests.api.served import PATIENCE_S

SCOPE = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET", "headers": []}


async def never() -> Any:
    """A caller who says nothing."""
    await asyncio.Event().wait()


def test_caller_who_stops_reading_is_let_go() -> None:
    """A caller who takes no byte in time loses the stream, and what it held is released."""
    released = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"

    async def stuck(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def main() -> None:
        held = AsyncExitStack()
        held.callback(released.set)
        stream = PacedStream(endless(), held=held, media_type="text/plain", send_seconds=0.05)
        with pytest.raises(BaseException) as caught:
            async with asyncio.timeout(5):
                await stream(SCOPE, never, stuck)
        assert "TimeoutError" in repr(caught.value)

    asyncio.run(main())
    assert released.is_set()


def test_caller_who_leaves_frees_its_connection(own_world: str, connection: psycopg.Connection[Any]) -> None:
    """A caller who hangs up in the middle of a long answer leaves the pool as it was."""
    stream = world.datastream_id(connection, "tirana-air-01", "no2")
    world.add_readings(connection, stream, world.FIRST, 50_000)
    app = create_app(settings_for(own_world))

    async def main() -> None:
        async with client_of(app) as client:
            begun = asyncio.Event()
            chunks = 0

            async def receive() -> Any:
                await begun.wait()
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                nonlocal chunks
                chunks += message["type"] == "http.response.body"
                if chunks == 2:
                    begun.set()
                    await asyncio.sleep(0.05)

            query = f"datastream={stream}&format=csv".encode()
            scope = {**SCOPE, "path": "/v1/observations", "query_string": query, "server": ("127.0.0.1", 80)}
            scope |= {"http_version": "1.1", "scheme": "http", "root_path": "", "client": ("127.0.0.1", 1)}
            await app(scope, receive, send)
            assert 2 <= chunks < 25
            async with asyncio.timeout(PATIENCE_S):
                while (  # noqa: ASYNC110 - the pool looks at what comes back in its own time, and tells nobody
                    stats := app.state.database.stats()
                )["pool_available"] != stats["pool_size"]:
                    await asyncio.sleep(0.01)
            assert (await client.get("/v1/ready")).status_code == 200

    asyncio.run(main())


def test_streams_leave_connections_for_short_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many streams as may hold a connection wait for none of the last two; one more is 503."""
    monkeypatch.setattr("qytet_api.streaming._WAIT_SECONDS", 0.05)

    async def main() -> None:
        gate = StreamGate(pool_size=4)
        async with gate.place(), gate.place():
            with pytest.raises(ProblemError) as refused:
                async with gate.place():
                    pass
            assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "5")
        async with gate.place():
            pass

    asyncio.run(main())
