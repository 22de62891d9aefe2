"""The three cities on each tier of storage: built once a session, and only read after that."""

from collections.abc import Iterator

import psycopg
import pytest

from qytet.db.migrate import connect
from tests.dashboards.asking import Asker, utc_now
from tests.dashboards.city import build as builder
from tests.dashboards.city.messages import Message, messages
from tests.dashboards.city.scenario import Scenario
from tests.servers.database import fresh_database

SERVERS = {"plain": "postgres_server", "timescale": "timescale_server", "community": "pglite_server"}


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    """The three cities as they are meant to be, until now."""
    return Scenario(builder.now_ms())


@pytest.fixture(scope="session")
def sent(scenario: Scenario) -> list[Message]:
    """Everything that their devices sent."""
    return messages(scenario)


@pytest.fixture(scope="session", params=list(SERVERS))
def cities(
    request: pytest.FixtureRequest, scenario: Scenario, sent: list[Message]
) -> Iterator[psycopg.Connection]:
    """A connection to the three cities on each tier in turn, with the owner's rights."""
    with (
        fresh_database(request.getfixturevalue(SERVERS[request.param])) as url,
        connect(url) as connection,
    ):
        builder.build(connection, sent, scenario)
        yield connection


@pytest.fixture(scope="session")
def asker(cities: psycopg.Connection) -> Asker:
    """Asks the three cities of each tier in turn, as Grafana would."""
    return Asker(cities, utc_now())
