"""Errors are problem documents that say what happened and give nothing away."""

import asyncio
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from qytet.embedded import EmbeddedPostgres
from qytet_api import paging
from qytet_api.app import create_app
from tests.api import world
from tests.api.conftest import Run, client_of, runner, settings_for
from tests.api.served import PATIENCE_S

SHORT_S = 0.5
"""What a question waits for a connection to a database that is not there."""
PM = "/v1/observations?device=tirana-air-01&key=pm2_5"


def problem(call: Run, path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    """The problem document at `path`, checked for its form."""

    async def main(client: httpx.AsyncClient) -> httpx.Response:
        return await client.request(method, path, headers=headers)

    answer = call(main)
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    assert unquote(document["instance"]) == unquote(path.split("?")[0])
    assert " " not in document["instance"]
    assert document["title"]
    assert document["detail"]
    return document


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v1/nothing",
        "/static/nothing.js",
        "/static/..%2f..%2fapp.py",
        "/v1/cities/atlantis",
        "/v1/devices/nobody",
        "/v1/datastreams/999999",
        "/v1/deadletters/999999",
        "/v1/live/atlantis",
        "/v1/observations?datastream=999999",
        "/v1/observations?device=tirana-air-01&key=o3",
    ],
)
def test_what_does_not_exist_is_404(call: Run, path: str) -> None:
    """An address or a name that does not exist is a 404 problem."""
    assert problem(call, path)["status"] == 404


@pytest.mark.parametrize(
    ("path", "where"),
    [
        (f"{PM}&limit=0", "query.limit"),
        (f"{PM}&limit=100001", "query.limit"),
        (f"{PM}&from=yesterday", "query.from"),
        (f"{PM}&from=2026-01-01T00:00:00", "query.from"),
        (f"{PM}&from=9999-12-31T23:59:59-14:00", "query.from"),
        (f"{PM}&resolution=week", "query.resolution"),
        (f"{PM}&order=random", "query.order"),
        ("/v1/observations?datastream=99999999999", "query.datastream"),
        ("/v1/devices?state=happy", "query.state"),
        ("/v1/cities/NOT%20A%20SLUG", "path.city"),
        ("/v1/deadletters/99999999999999999999", "path.dead_letter_id"),
    ],
)
def test_wrong_parameters_are_named(call: Run, path: str, where: str) -> None:
    """A wrong parameter is a 422 problem that names it."""
    document = problem(call, path)
    assert document["status"] == 422
    assert [error["where"] for error in document["errors"]] == [where]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/observations",
        "/v1/observations?device=tirana-air-01",
        "/v1/observations?datastream=1&device=tirana-air-01&key=pm2_5",
    ],
)
def test_ambiguous_datastream_is_422(call: Run, path: str) -> None:
    """Neither one way nor the other of naming a datastream is a 422 problem that says how."""
    assert "datastream" in problem(call, path)["detail"]


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "....",
        "%00",
        paging.encode([]),
        paging.encode(["a", "b"]),
        paging.encode([1]),
        paging.encode(["2026-01-01T00:00:00"]),
        paging.encode(["'; drop table store.city; --"]),
        "W1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tb",
    ],
)
def test_made_up_cursor_is_422(call: Run, cursor: str) -> None:
    """A cursor that is not ours is refused, whatever it holds."""
    assert problem(call, f"{PM}&cursor={cursor}")["status"] == 422


def test_cursor_parts_that_no_database_holds_are_422(call: Run) -> None:
    """A number beyond a bigint or a zero byte in a cursor is refused before it reaches the database."""
    assert problem(call, f"/v1/datastreams?cursor={paging.encode([2**63])}")["status"] == 422
    assert problem(call, f"/v1/devices?cursor={paging.encode(['a' + chr(0)])}")["status"] == 422


@pytest.mark.parametrize(
    "attack", ["' or '1'='1", "tirana'; drop table store.city; --", "%25' union select 1 --", "a%00b", "ë"]
)
@pytest.mark.parametrize(
    "place",
    [
        "/v1/devices?city={}",
        "/v1/sites?city={}",
        "/v1/latest?device={}",
        "/v1/observations?device={}&key=no2",
    ],
)
def test_injection_is_refused_or_harmless(call: Run, place: str, attack: str) -> None:
    """SQL in a parameter is refused as a bad parameter, and the tables stand."""
    assert problem(call, place.format(attack.replace(" ", "%20")))["status"] == 422

    async def cities(client: httpx.AsyncClient) -> int:
        return len((await client.get("/v1/cities")).json()["items"])

    assert call(cities) == 2


def test_free_text_parameter_is_only_compared(call: Run) -> None:
    """The one parameter that takes any text (the claimed device of a dead letter) is compared, never run."""

    async def main(client: httpx.AsyncClient) -> Any:
        attack = "x' or true --"
        return (await client.get("/v1/deadletters", params={"device": attack})).json()["items"]

    assert call(main) == []


def test_wrong_method_and_type(call: Run) -> None:
    """A method or a media type that is not offered is a 405 or a 406 problem."""
    assert problem(call, "/v1/cities", "DELETE")["status"] == 405
    assert problem(call, PM, accept="image/png")["status"] == 406


def test_bug_gives_nothing_away(world_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is a 500 problem without its text, guarded and counted; the server goes on."""
    app = create_app(settings_for(world_url))

    async def broken(*_: object) -> None:
        raise RuntimeError("secret path /etc/passwd")

    monkeypatch.setattr(app.state.database, "rows", broken)

    async def main() -> list[httpx.Response]:
        async with client_of(app) as client:
            return [await client.get(path) for path in ("/v1/cities", "/v1/health", "/metrics")]

    failed, healthy, metrics = asyncio.run(main())
    assert failed.status_code == 500
    assert failed.headers["content-type"] == "application/problem+json"
    assert "secret" not in failed.text
    assert failed.headers["x-content-type-options"] == "nosniff"
    assert 'qytet_api_requests_total{method="GET",route="/v1/cities",status="500"} 1.0' in metrics.text
    assert healthy.status_code == 200


def test_database_down_is_503_until_it_returns(private_postgres: EmbeddedPostgres) -> None:
    """Without its database the API lives, says 503 with Retry-After, and answers again by itself."""
    world.build(private_postgres.url)

    async def main() -> None:
        app = create_app(settings_for(private_postgres.url))
        async with client_of(app) as client:
            assert (await client.get("/v1/ready")).status_code == 200
            app.state.pool.timeout = SHORT_S
            await asyncio.to_thread(private_postgres.kill)
            for path in ("/v1/ready", "/v1/cities", PM, "/v1/live/tirana"):
                answer = await client.get(path)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), path
                assert answer.headers["content-type"] == "application/problem+json"
            assert (await client.get("/v1/health")).status_code == 200
            await asyncio.to_thread(private_postgres.start)
            async with asyncio.timeout(PATIENCE_S):
                while (await client.get("/v1/ready")).status_code != 200:
                    pass  # each question waits for a connection by itself
            app.state.pool.timeout = PATIENCE_S
            assert len((await client.get("/v1/cities")).json()["items"]) == 2

    asyncio.run(main())


def test_absent_database_does_not_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API starts before its database does: health is 200, readiness 503."""
    monkeypatch.setattr("qytet_api.database._WAIT_SECONDS", SHORT_S)
    nowhere = settings_for("postgresql://nobody@127.0.0.1:9/none")

    async def main(client: httpx.AsyncClient) -> tuple[int, int]:
        return (await client.get("/v1/health")).status_code, (await client.get("/v1/ready")).status_code

    assert runner(nowhere)(main) == (200, 503)


def test_unmigrated_database_is_not_ready(postgres_url: str) -> None:
    """On an empty database readiness names what to run."""
    from psycopg import connect

    with connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "do $$ begin create role qytet_read; exception when duplicate_object then null; end $$"
        )

    async def main(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/v1/ready")

    answer = runner(settings_for(postgres_url))(main)
    assert answer.status_code == 503
    assert "qytet db migrate" in answer.json()["detail"]
