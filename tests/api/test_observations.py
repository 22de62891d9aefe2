"""Observations come complete, in order, in each format, in bounded memory."""

import asyncio
import csv
import io
import json
import tracemalloc
from datetime import datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from qytet_api.app import create_app
from qytet_api.observations import service
from tests.api import world
from tests.api.conftest import Run, client_of, settings_for

PM = {"device": "tirana-air-01", "key": "pm2_5"}


def ask(call: Run, **params: Any) -> httpx.Response:
    """The answer to /v1/observations."""

    async def main(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/v1/observations", params={**PM, **params})

    answer = call(main)
    assert isinstance(answer, httpx.Response)
    return answer


def instant(number: int) -> str:
    """When reading `number` was made."""
    return (world.FIRST + number * world.STEP).isoformat().replace("+00:00", "Z")


def test_page_carries_unit_time_and_flags(call: Run) -> None:
    """A page names its datastream with the unit; times are RFC 3339 with Z; flags are numbers."""
    page = ask(call, limit=2).json()
    assert (page["datastream"]["ucum"], page["datastream"]["unit"]) == ("ug/m3", "µg/m³")
    assert page["items"] == [
        {"phenomenon_time": instant(i), "value": i / 10, "quality": 1, "time_quality": 2} for i in (0, 1)
    ]
    assert page["next"].startswith("/v1/observations?")


def test_window_leaves_its_end_out(call: Run) -> None:
    """`from` is in, `to` is out, whatever zone they are written in; the newest can come first."""
    got = ask(call, **{"from": instant(10), "to": instant(13)}).json()
    assert [row["value"] for row in got["items"]] == [1.0, 1.1, 1.2]
    assert got["next"] is None
    local = (world.FIRST + 10 * world.STEP + timedelta(hours=1)).replace(tzinfo=None).isoformat() + "+01:00"
    got = ask(call, **{"from": local, "to": instant(13), "order": "desc"}).json()
    assert [row["value"] for row in got["items"]] == [1.2, 1.1, 1.0]


@pytest.mark.parametrize("resolution", ["raw", "15min", "hour", "day"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_hold_every_row_once(call: Run, resolution: str, order: str) -> None:
    """Following `next` to its end gives exactly the rows of one long answer, for each resolution and order."""
    whole = [
        json.loads(line)
        for line in ask(call, resolution=resolution, order=order, format="ndjson").iter_lines()
    ]
    limit = max(1, len(whole) // 3)

    async def walk(client: httpx.AsyncClient) -> list[Any]:
        rows = []
        params = {**PM, "resolution": resolution, "order": order, "limit": limit}
        page = (await client.get("/v1/observations", params=params)).json()
        rows += page["items"]
        while page["next"]:
            page = (await client.get(page["next"])).json()
            rows += page["items"]
        return rows

    walked = call(walk)
    assert [row["phenomenon_time"] for row in walked] == [row["phenomenon_time"] for row in whole]
    assert len(walked) == len({row["phenomenon_time"] for row in walked}) > 1


def test_hourly_mean_is_the_mean(call: Run) -> None:
    """An hourly aggregate counts its readings and gives their mean, lowest, highest, first and last."""
    row = ask(call, resolution="hour", limit=1).json()["items"][0]
    assert row == {
        "phenomenon_time": instant(0),
        "total": 60,
        "n": 60,
        "mean": pytest.approx(2.95),
        "min": 0.0,
        "max": 5.9,
        "sum": pytest.approx(177.0),
        "first": 0.0,
        "last": 5.9,
    }


def test_day_is_the_civil_day(call: Run) -> None:
    """A day begins at midnight in Tirana, which is 23:00 UTC in winter."""
    rows = ask(call, resolution="day").json()["items"]
    assert {row["phenomenon_time"][11:] for row in rows} == {"23:00:00Z"}
    assert sum(row["n"] for row in rows) == world.READINGS


def test_csv_and_ndjson_are_whole_and_carry_units(call: Run) -> None:
    """CSV and NDJSON hold every reading once, in order, each row with its unit."""
    rows = list(csv.DictReader(io.StringIO(ask(call, format="csv").text)))
    assert [float(row["value"]) for row in rows] == [i / 10 for i in range(world.READINGS)]
    assert {row["ucum"] for row in rows} == {"ug/m3"}
    lines = [json.loads(line) for line in ask(call, format="ndjson").text.splitlines()]
    assert [line["phenomenon_time"] for line in lines] == [row["phenomenon_time"] for row in rows]
    assert lines[-1]["phenomenon_time"] == instant(world.READINGS - 1)


@pytest.mark.parametrize("format_", ["csv", "ndjson"])
@pytest.mark.parametrize("limit", [999, 2500, world.READINGS, world.READINGS + 1])
def test_link_header_pages_text_formats(call: Run, format_: str, limit: int) -> None:
    """With a limit, CSV and NDJSON name the next page in a Link header; the pages hold every row once."""

    async def walk(client: httpx.AsyncClient) -> int:
        answer = await client.get("/v1/observations", params={**PM, "format": format_, "limit": limit})
        count = 0
        while True:
            count += len(answer.text.splitlines()) - (format_ == "csv")
            following = answer.links.get("next")
            if following is None:
                return count
            answer = await client.get(following["url"])

    assert call(walk) == world.READINGS


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/x-ndjson, application/json;q=0.5", "application/x-ndjson"),
        ("application/json;q=0.1, text/csv;q=0.9", "text/csv; charset=utf-8"),
        ("image/png, */*;q=0.1", "application/json"),
    ],
)
def test_accept_chooses_the_format(call: Run, accept: str, media: str) -> None:
    """The Accept header chooses the format, by preference."""

    async def main(client: httpx.AsyncClient) -> str:
        return (await client.get("/v1/observations", params=PM, headers={"accept": accept})).headers[
            "content-type"
        ]

    assert call(main) == media


def test_empty_answer_is_well_formed(call: Run) -> None:
    """No rows is an empty list, a header line, or nothing; never an error."""
    early = {"to": "2025-01-01T00:00:00Z"}
    assert ask(call, **early).json()["items"] == []
    assert len(ask(call, **early, format="csv").text.splitlines()) == 1
    assert ask(call, **early, format="ndjson").text == ""


def test_pages_stay_complete_while_rows_arrive(own_world: str, connection: psycopg.Connection[Any]) -> None:
    """Rows that stood when paging began come exactly once each, while others arrive before and behind."""
    stream = world.datastream_id(connection, "tirana-air-01", "pm2_5")
    before = {instant(i) for i in range(world.READINGS)}

    async def main() -> list[str]:
        seen: list[str] = []
        async with client_of(create_app(settings_for(own_world))) as client:
            page = (await client.get("/v1/observations", params={**PM, "limit": 700})).json()
            turn = 0
            while True:
                seen += [row["phenomenon_time"] for row in page["items"]]
                turn += 1
                if turn <= 5:
                    late = world.FIRST + timedelta(milliseconds=1 + turn)
                    world.add_readings(connection, stream, late, 50, timedelta(minutes=97))
                if page["next"] is None:
                    return seen
                page = (await client.get(page["next"])).json()

    seen = asyncio.run(main())
    assert len(seen) == len(set(seen))
    assert before <= set(seen)
    assert seen == sorted(seen, key=datetime.fromisoformat)


def test_stream_holds_a_chunk_not_the_answer(own_world: str, connection: psycopg.Connection[Any]) -> None:
    """A long answer passes in bounded memory: 100,000 rows cost less than a quarter of their bytes."""
    stream = world.datastream_id(connection, "tirana-air-01", "no2")
    world.add_readings(connection, stream, world.FIRST, 100_000, timedelta(seconds=1))
    app = create_app(settings_for(own_world))
    total = 0

    async def send(message: Any) -> None:
        nonlocal total
        total += len(message.get("body", b""))

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def main() -> int:
        query = b"device=tirana-air-01&key=no2&format=ndjson"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/v1/observations",
            "raw_path": b"/v1/observations",
            "root_path": "",
            "query_string": query,
            "headers": [(b"host", b"127.0.0.1")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        async with app.router.lifespan_context(app):
            tracemalloc.start()
            try:
                await app(scope, receive, send)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    peak = asyncio.run(main())
    assert total > 100_000 * 100
    assert peak < total / 4
    assert service.CHUNK < 10_000
