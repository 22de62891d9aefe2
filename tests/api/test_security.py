"""Who may see what, and what every answer bears."""

import asyncio
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from qytet.errors import SettingsError
from qytet.settings import ApiSettings, DatabaseSettings, Settings
from qytet_api.app import create_app
from qytet_api.database import make_pool
from tests.api.conftest import TOKEN, Run, runner, settings_for


def status(call: Run, path: str = "/v1/deadletters", **headers: str) -> httpx.Response:
    """The answer to one request."""

    async def main(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get(path, headers=headers)

    answer = call(main)
    assert isinstance(answer, httpx.Response)
    return answer


@pytest.mark.parametrize("path", ["/v1/deadletters", "/v1/deadletters/1"])
def test_operators_need_the_token(world_url: str, path: str) -> None:
    """With a token set, dead letters are for its bearer alone; others get 401 with how to ask."""
    call = runner(settings_for(world_url, token=TOKEN))
    assert status(call, path, authorization=f"Bearer {TOKEN}").status_code == 200
    for wrong in ("", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ë"):
        answer = status(call, path, **({"authorization": wrong.encode()} if wrong else {}))  # type: ignore[arg-type]
        assert answer.status_code == 401, wrong
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert TOKEN not in answer.text


def test_public_resources_need_no_token(world_url: str) -> None:
    """What citizens may see needs no token."""
    call = runner(settings_for(world_url, token=TOKEN))
    for path in ("/v1/cities", "/v1/latest", "/v1/ledger", "/", "/city/tirana"):
        assert status(call, path).status_code == 200, path


def test_developer_is_operator_on_loopback(world_url: str) -> None:
    """Without a token, at this machine, everyone is an operator: development."""
    assert status(runner(settings_for(world_url))).status_code == 200


def test_foreign_name_is_no_operator(world_url: str) -> None:
    """Without a token a web page whose name resolves to this machine is refused: DNS rebinding."""
    assert status(runner(settings_for(world_url), "http://evil.example")).status_code == 403


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_proxied_caller_is_no_operator(world_url: str, header: str) -> None:
    """Without a token a caller who comes through a proxy may be anyone, and is refused."""
    assert status(runner(settings_for(world_url)), **{header: "203.0.113.9"}).status_code == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "sensors.example"])
def test_open_door_is_refused(world_url: str, host: str) -> None:
    """An address that others reach needs an operator's token; with one it is allowed."""
    with pytest.raises(SettingsError, match="token"):
        create_app(settings_for(world_url, host=host))
    create_app(settings_for(world_url, host=host, token=TOKEN))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_no_token(world_url: str, host: str) -> None:
    """Loopback addresses are open to development."""
    create_app(settings_for(world_url, host=host))


@pytest.mark.parametrize("path", ["/", "/v1/cities", "/nothing", "/static/main.js"])
def test_every_answer_bears_the_headers(call: Run, path: str) -> None:
    """No answer can be framed, sniffed, or load anything from elsewhere."""
    headers = status(call, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


def test_no_database_named_is_a_clear_error() -> None:
    """Without a database's address the API says what to set."""
    with pytest.raises(SettingsError, match="QYTET_DATABASE__URL"):
        create_app(Settings(database=DatabaseSettings(), api=ApiSettings()))


@pytest.mark.parametrize("url", ["postgresql//qytet:hunter2@127.0.0.1/x", "postgresql://q:hunter2%zz@h/x"])
def test_a_malformed_url_is_refused_without_its_password(url: str) -> None:
    """A mistyped URL stops the start with what to write, and the error does not repeat the password."""
    with pytest.raises(SettingsError, match="libpq") as caught:
        create_app(settings_for(url))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.do


def test_connections_see_views_only(world_url: str) -> None:
    """A connection of the API reads views, and neither a table nor anything that writes."""

    async def main() -> None:
        pool = make_pool(DatabaseSettings(url=SecretStr(world_url)))
        await pool.open()
        try:
            for statement in ("select * from store.city", "select payload from store.dead_letter"):
                async with pool.connection() as connection:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        await connection.execute(statement)  # type: ignore[call-overload]
            async with pool.connection() as connection:
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    await connection.execute("create temporary table t (i int)")
                row: Any = await (await connection.execute("show statement_timeout")).fetchone()
                assert row["statement_timeout"] == "15s"
        finally:
            await pool.close()

    asyncio.run(main())
