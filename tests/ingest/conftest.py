"""One migrated database a tier for all tests of ingest, and a rig that stores what messages say."""

from collections.abc import Iterator

import psycopg
import pytest

from qytet.db.migrate import connect, migrate
from tests.ingest.rig import Rig, register
from tests.servers.database import fresh_database

SERVERS = {"plain": "postgres_server", "timescale": "timescale_server", "community": "pglite_server"}


@pytest.fixture(scope="session", params=list(SERVERS))
def tier_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated database on each tier in turn; tests keep to devices of their own."""
    with fresh_database(request.getfixturevalue(SERVERS[request.param])) as url:
        with connect(url) as connection:
            migrate(connection)
        yield url


@pytest.fixture(scope="session")
def plain_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The same on plain PostgreSQL only, for what does not depend on the tier."""
    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        with connect(url) as connection:
            migrate(connection)
        yield url


@pytest.fixture
def own_url(postgres_server: object) -> Iterator[str]:
    """A migrated database of this test's own."""
    with fresh_database(postgres_server) as url:
        with connect(url) as connection:
            migrate(connection)
        yield url


@pytest.fixture
def db(tier_url: str) -> Iterator[psycopg.Connection]:
    """A connection to the database of the tier."""
    with connect(tier_url) as connection:
        yield connection


@pytest.fixture
def rig(db: psycopg.Connection) -> Rig:
    """A registered device with pm2_5, no2 and vehicle_count:lane2, and the path from messages to its rows."""
    return Rig(db, register(db))


@pytest.fixture
def plain_rig(plain_url: str) -> Iterator[Rig]:
    """The same on plain PostgreSQL only."""
    with connect(plain_url) as connection:
        yield Rig(connection, register(connection))
