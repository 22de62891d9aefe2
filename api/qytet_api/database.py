"""How the API reads: a bounded pool of read-only connections that see the views and nothing else."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString

from psycopg import AsyncConnection, AsyncServerCursor, ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from qytet.errors import SettingsError
from qytet.settings import DatabaseSettings

__all__ = ["Database", "Pool", "Rows", "make_pool"]

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]
Rows = list[dict[str, Any]]

_WAIT_SECONDS = 3.0  # for a free connection; then the caller gets 503
_RECONNECT_SECONDS = 5.0  # bounds the back-off, so that a database that returns is found soon
_MAX_WAITING = 100

_SESSION = """
set default_transaction_read_only = on;
set statement_timeout = '15s';
set lock_timeout = '2s';
set idle_in_transaction_session_timeout = '60s';
set timezone = 'UTC';
"""
_ROLE = "set role qytet_read"


def make_pool(settings: DatabaseSettings) -> Pool:
    """A pool, not yet open. Raises SettingsError if no database is named, or its URL is not understood."""
    own_role = bool(settings.read_url.get_secret_value())
    url = settings.read_url.get_secret_value() or settings.url.get_secret_value()
    if not url:
        raise SettingsError(
            "The API does not know which database to read.",
            why="[database] url and read_url are empty.",
            do="Set QYTET_DATABASE__URL, or run `qytet demo run`, which brings a database of its own.",
        )
    try:
        conninfo_to_dict(url)
    except ProgrammingError:
        raise SettingsError(
            f"[database] {'read_url' if own_role else 'url'} is not one that libpq understands.",
            do="Write postgresql://user:password@host:port/name; escape other characters (%40).",
        ) from None  # libpq repeats the text, and with it the password

    async def configure(connection: AsyncConnection[DictRow]) -> None:
        await connection.set_autocommit(True)
        await connection.execute(_SESSION)
        if not own_role:
            await connection.execute(_ROLE)

    return AsyncConnectionPool(
        url,
        connection_class=AsyncConnection[DictRow],
        kwargs={"row_factory": dict_row, "autocommit": True, "connect_timeout": 3},
        min_size=1,
        max_size=settings.pool_size,
        timeout=_WAIT_SECONDS,
        max_waiting=_MAX_WAITING,
        reconnect_timeout=_RECONNECT_SECONDS,
        configure=configure,
        check=AsyncConnectionPool.check_connection,
        name="qytet-api",
        open=False,
    )


class Database:
    """Questions to the views; parameters always travel apart from the text."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def rows(self, query: LiteralString, params: Mapping[str, object] | None = None) -> Rows:
        """All rows of a bounded question. Raises psycopg.OperationalError or PoolTimeout."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, params)
            return await cursor.fetchall()

    async def row(
        self, query: LiteralString, params: Mapping[str, object] | None = None
    ) -> dict[str, Any] | None:
        """The first row, or None."""
        found = await self.rows(query, params)
        return found[0] if found else None

    @asynccontextmanager
    async def cursor(
        self, query: LiteralString, params: Mapping[str, object]
    ) -> AsyncIterator[AsyncServerCursor[DictRow]]:
        """A server-side cursor: rows stay at the database until they are fetched."""
        async with (
            self._pool.connection() as connection,
            connection.transaction(),
            connection.cursor(name="qytet_stream", scrollable=True) as cursor,
        ):
            await cursor.execute(query, params)
            yield cursor

    def stats(self) -> dict[str, int]:
        """The pool's own counters."""
        return dict(self._pool.get_stats())
