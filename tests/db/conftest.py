"""A migrated database on each tier in turn: one a module, for tests that keep to devices of their own."""

from collections.abc import Iterator

import psycopg
import pytest

from qytet.db.migrate import connect, migrate
from tests.db.support import Place, register_place
from tests.servers.database import fresh_database

SERVERS = {"plain": "postgres_server", "timescale": "timescale_server", "community": "pglite_server"}


@pytest.fixture(scope="module", params=list(SERVERS))
def tier(request: pytest.FixtureRequest) -> str:
    """The tier that the module runs on now."""
    return str(request.param)


@pytest.fixture(scope="module")
def tier_server(tier: str, request: pytest.FixtureRequest):
    return request.getfixturevalue(SERVERS[tier])


@pytest.fixture(scope="module")
def migrated_url(tier_server) -> Iterator[str]:
    """The URL of a migrated database, shared by the tests of a module."""
    with fresh_database(tier_server) as url:
        with connect(url) as connection:
            migrate(connection)
        yield url


@pytest.fixture
def empty_url(tier_server) -> Iterator[str]:
    """The URL of an empty database of this test's own, on the module's tier."""
    with fresh_database(tier_server) as url:
        yield url


@pytest.fixture
def db(migrated_url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to the module's migrated database."""
    with connect(migrated_url) as connection:
        yield connection


@pytest.fixture
def place(db: psycopg.Connection, request: pytest.FixtureRequest) -> Place:
    """A device of this test's own with datastreams pm2_5 and no2."""
    return register_place(db)
