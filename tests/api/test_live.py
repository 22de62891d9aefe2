"""Changes reach every client once a second at most, from one poll, in bounded memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from qytet_api.app import create_app
from qytet_api.live import feed as feeds
from qytet_api.live.feed import Reader
from tests.api import world
from tests.api.conftest import client_of, settings_for
from tests.api.served import PATIENCE_S, serve


async def events(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """The events of a stream by name; that nothing has changed for a while is none."""
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: ") and name != "beat":
            yield name, json.loads(line.removeprefix("data: "))


def test_changes_arrive_over_a_socket(
    own_world: str, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """A client first gets everything, then each change with its unit; Ctrl-C ends the stream at once."""
    stream = world.datastream_id(connection, "tirana-air-01", "pm2_5")
    world.add_latest(connection, stream, datetime.now(UTC), 12.5)

    async def main(url: str) -> None:
        async with (
            httpx.AsyncClient(timeout=PATIENCE_S) as client,
            client.stream("GET", f"{url}/v1/live/tirana") as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            incoming = events(answer)
            name, snapshot = await anext(incoming)
            assert name == "snapshot"
            assert {d["device"]: d["silent"] for d in snapshot["devices"]} == {
                "tirana-air-01": False,
                "tirana-dma-01": True,
                "tirana-traffic-01": False,
            }
            (first,) = snapshot["latest"]
            assert (first["value"], first["unit"], first["stale_after_s"]) == (12.5, "µg/m³", 300)
            world.add_latest(connection, stream, datetime.now(UTC), 13.5, 3)
            name, changes = await anext(incoming)
            assert name == "changes"
            assert [(row["value"], row["quality"]) for row in changes["latest"]] == [(13.5, 3)]
            assert changes["devices"] == []

    with serve(own_world, tmp_path) as served:
        asyncio.run(main(served.url))
        assert served.interrupt() == 0


def test_ctrl_c_ends_open_streams(own_world: str, tmp_path: Path) -> None:
    """With a client still watching, Ctrl-C stops the server within seconds and in order."""

    async def main() -> int:
        address = f"{served.url}/v1/live/tirana"
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client, client.stream("GET", address) as answer:
            incoming = events(answer)
            await anext(incoming)
            async with asyncio.timeout(PATIENCE_S):
                ended = asyncio.create_task(asyncio.to_thread(served.interrupt))
                _ = [event async for event in incoming]
                return await ended

    with serve(own_world, tmp_path) as served:
        assert asyncio.run(main()) == 0


def test_one_poll_serves_all_and_ends_with_the_last(world_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty clients of a city cost the polls of one; when the last leaves, polling ends."""
    monkeypatch.setattr(feeds, "POLL_SECONDS", 0.1)
    app = create_app(settings_for(world_url))

    async def main() -> None:
        async with client_of(app):
            hub = app.state.hub
            loop = asyncio.get_running_loop()
            begun = loop.time()
            async with asyncio.TaskGroup() as group:
                watching = [group.create_task(watch(hub)) for _ in range(50)]
                await asyncio.gather(*watching)
            feed = watching[0].result()
            assert feed.polls <= (loop.time() - begun) / 0.1 + 2
            assert hub.feeds == {}
            assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("live ")]

    async def watch(hub: Any) -> Any:
        async with hub.reader("tirana") as reader:
            async for event in reader.events(hub.stopping):
                if b"event: snapshot" in event:
                    return hub.feeds["tirana"]
        raise AssertionError("the stream ended before its snapshot")

    asyncio.run(main())


def test_slow_client_gets_the_newest_not_a_queue() -> None:
    """A client that does not read for 1,000 changes of 10 datastreams is owed 10 rows, the newest."""

    async def main() -> None:
        reader = Reader(None)
        for turn in range(1000):
            reader.tell([{"datastream_id": i, "value": turn} for i in range(10)], [])
        assert reader.pending == 10
        incoming = reader.events(asyncio.Event())
        await anext(incoming)  # retry
        event = (await anext(incoming)).decode()
        rows = json.loads(event.split("data: ")[1])["latest"]
        assert [row["value"] for row in rows] == [999] * 10
        await incoming.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())


def test_quiet_stream_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing changes a heartbeat says that the line is alive, with the server's time."""
    monkeypatch.setattr(feeds, "BEAT_SECONDS", 0.05)

    async def main() -> bytes:
        incoming = Reader(None).events(asyncio.Event())
        await anext(incoming)
        beat = await anext(incoming)
        await incoming.aclose()  # type: ignore[attr-defined]
        return beat

    beat = asyncio.run(main())
    assert beat.startswith(b'event: beat\ndata: {"now":"')


def test_client_that_leaves_is_forgotten(own_world: str, tmp_path: Path) -> None:
    """A client that goes away leaves nothing behind: the count of live clients returns to zero."""

    async def main(url: str) -> None:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            async with client.stream("GET", f"{url}/v1/live/tirana") as answer:
                await anext(events(answer))
                assert "qytet_api_live_clients 1.0" in (await client.get(f"{url}/metrics")).text
            async with asyncio.timeout(PATIENCE_S):
                while "qytet_api_live_clients 0.0" not in (await client.get(f"{url}/metrics")).text:
                    pass

    with serve(own_world, tmp_path) as served:
        asyncio.run(main(served.url))
