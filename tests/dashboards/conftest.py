"""The three cities on the tier that a file names: built once a file, and only read after that."""

from collections.abc import Iterator

import psycopg
import pytest

from qytet.db.migrate import connect
from tests.servers.database import fresh_database

pytest.register_assert_rewrite(
    "tests.dashboards.parts",
    "tests.dashboards.queries",
    "tests.dashboards.faults",
    "tests.dashboards.sums",
    "tests.dashboards.alerts",
)

from tests.dashboards.asking import Asker, utc_now  # noqa: E402 - after their tests are told to be rewritten
from tests.dashboards.city import build as builder  # noqa: E402
from tests.dashboards.city.messages import messages  # noqa: E402
from tests.dashboards.city.scenario import Scenario  # noqa: E402

SERVERS = {"plain": "postgres_server", "timescale": "timescale_server", "community": "pglite_server"}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """The three cities as they are meant to be, until now."""
    return Scenario(builder.now_ms())


@pytest.fixture(scope="module")
def cities(tier: str, request: pytest.FixtureRequest, scenario: Scenario) -> Iterator[psycopg.Connection]:
    """A connection to the three cities on a tier, with the owner's rights."""
    with (
        fresh_database(request.getfixturevalue(SERVERS[tier])) as url,
        connect(url) as connection,
    ):
        builder.build(connection, messages(scenario), scenario)
        yield connection


@pytest.fixture(scope="module")
def asker(cities: psycopg.Connection) -> Asker:
    """Asks the three cities of a tier, as Grafana would."""
    return Asker(cities, utc_now())
