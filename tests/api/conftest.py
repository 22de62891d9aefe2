"""The API's own fixtures: a database with a small country in it, and a client that calls the app in process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from qytet import log
from qytet.embedded import EmbeddedPostgres
from qytet.settings import ApiSettings, DatabaseSettings, LogSettings, Settings
from qytet_api.app import create_app
from tests.api import world
from tests.api.served import PATIENCE_S
from tests.servers.database import fresh_database

Run = Callable[[Callable[[httpx.AsyncClient], Awaitable[Any]]], Any]
TOKEN = "a-token-for-tests-only"


def settings_for(url: str, *, token: str = "", **api: Any) -> Settings:
    """Settings that come from nowhere else."""
    return Settings(
        database=DatabaseSettings(url=SecretStr(url), pool_size=4),
        api=ApiSettings(operator_token=SecretStr(token), **api),
    )


@asynccontextmanager
async def client_of(app: FastAPI, base_url: str = "http://127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    """A client in process, with the app started; errors of the app become answers, as over a socket."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=base_url) as c,
    ):
        yield c


@pytest.fixture(scope="session")
def world_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database that tests only read."""
    with fresh_database(postgres_server) as url:
        world.build(url)
        yield url


@pytest.fixture
def own_world(postgres_url: str) -> str:
    """A database that the test may change."""
    world.build(postgres_url)
    return postgres_url


@pytest.fixture
def connection(own_world: str) -> Iterator[psycopg.Connection[Any]]:
    """The owner's connection to `own_world`."""
    with psycopg.connect(own_world, autocommit=True) as connection:
        yield connection


@pytest.fixture
def call(world_url: str) -> Run:
    """Run a coroutine function with a client of an app on the database that is only read."""
    return runner(settings_for(world_url))


def runner(settings: Settings, base_url: str = "http://127.0.0.1") -> Run:
    """Run a coroutine function with a client of an app with those settings."""

    def run(what: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            async with client_of(create_app(settings), base_url) as client:
                return await what(client)

        return asyncio.run(main())

    return run


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a connection to the database longer than people would: 503 is asked for by tests that mean it."""
    monkeypatch.setattr("qytet_api.database._WAIT_SECONDS", PATIENCE_S)


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    """Log as the program does, in JSON lines."""
    log.configure(LogSettings(format="json"))
