"""What every database server for tests offers, and a fresh database on any of them."""

import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from typing import Any, Protocol, Self

import psycopg
from psycopg import sql

_numbers = itertools.count(1)


class DatabaseServer(Protocol):
    """A PostgreSQL server that tests may kill and start again on the same data and port."""

    @property
    def admin_url(self) -> str:
        """The URL of the maintenance database."""

    @property
    def pid(self) -> int | None:
        """The postmaster, or None while it is stopped."""

    def url_for(self, database: str) -> str:
        """The URL of a database."""

    def start(self) -> Self:
        """Start and wait until ready."""

    def stop(self) -> None:
        """Stop in order."""

    def kill(self) -> None:
        """SIGKILL."""


@contextlib.contextmanager
def fresh_database(server: DatabaseServer, *, extension: str | None = None) -> Iterator[str]:
    """Create an empty database, yield its URL, and drop it whoever is still connected."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.admin_url, autocommit=True) as admin:
        _patiently(admin, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = server.url_for(name)
    if extension:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
    try:
        yield url
    finally:
        if server.pid is None:  # a test killed it and failed before it started it again
            server.start()
        with psycopg.connect(server.admin_url, autocommit=True) as admin:
            _patiently(admin, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _patiently(admin: psycopg.Connection[Any], statement: sql.Composed) -> None:
    """Ask again while others are in a database: the server itself waits only five seconds for them to leave."""
    deadline = time.monotonic() + 60
    while True:
        try:
            admin.execute(statement)
        except psycopg.errors.ObjectInUse:
            if time.monotonic() > deadline:
                raise
        else:
            return
