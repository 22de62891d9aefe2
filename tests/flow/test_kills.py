"""The promise under fire: ingest, broker and database are killed at seeded moments, and nothing is lost or doubled."""

from pathlib import Path

import pytest

from qytet.db import registry
from qytet.db.migrate import connect, migrate
from qytet.embedded import EmbeddedNats, EmbeddedPostgres
from qytet_simulators.device.address import Address
from qytet_simulators.device.flood import Pace, flood, prepare
from qytet_simulators.device.load import Load
from tests.flow.compare import Difference, compare_load
from tests.flow.kills import Battle, Outcome, fight, settle
from tests.flow.workers import Worker
from tests.servers.mosquitto import MosquittoServer
from tests.servers.timescale import TimescaleServer

SHORT = {"readings": 60_000, "kills": 7}
LONG = {"readings": 240_000, "kills": 21, "rate": 1200.0}


def _whole(outcome: Outcome, battle: Battle) -> None:
    print(f"\nseed {battle.seed}: {outcome}")
    assert outcome.kills.total() >= battle.kills
    assert outcome.difference.generated >= battle.readings - battle.per_message
    assert outcome.difference.lost == 0
    assert outcome.difference.duplicated == 0
    assert outcome.difference.extra == 0
    assert outcome.missing == 0
    assert outcome.miscounted == []


@pytest.mark.parametrize(
    "size", [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.soak)]
)
class TestKills:
    """Each pair of servers; the short run is in `make test`, the long one in `make soak`."""

    def test_embedded_pair(
        self,
        size: dict[str, int],
        private_nats: EmbeddedNats,
        private_postgres: EmbeddedPostgres,
        tmp_path: Path,
    ) -> None:
        """NATS and PostgreSQL as `make demo` runs them lose and double nothing."""
        battle = Battle(seed=11, **size)
        _whole(fight(battle, private_postgres, private_nats, tmp_path), battle)

    def test_mosquitto_and_postgres(
        self,
        size: dict[str, int],
        private_mosquitto: MosquittoServer,
        private_postgres: EmbeddedPostgres,
        tmp_path: Path,
    ) -> None:
        """Mosquitto forgets its queue when killed; devices that wait for marks bring everything back."""
        battle = Battle(seed=12, **size)
        outcome = fight(battle, private_postgres, private_mosquitto, tmp_path)
        _whole(outcome, battle)
        assert outcome.resent > 0

    def test_mosquitto_and_timescale(
        self,
        size: dict[str, int],
        private_mosquitto: MosquittoServer,
        private_timescale: TimescaleServer,
        tmp_path: Path,
    ) -> None:
        """The same on real TimescaleDB."""
        battle = Battle(seed=13, **size)
        _whole(fight(battle, private_timescale, private_mosquitto, tmp_path), battle)


def test_devices_that_trust_the_broker_lose_readings(
    private_mosquitto: MosquittoServer, postgres_url: str, tmp_path: Path
) -> None:
    """What a broker acknowledged and lost comes only from devices that resend what has no mark: without it, this fails.

    Ingest is away, the broker acknowledges everything and is killed: nothing is stored, though every PUBACK came.
    Then the devices resend what has no mark, as the contract asks, and everything is stored once.
    """
    load = Load(2000, devices=20, readings=6, run="trust", prefix="trust")
    address = Address.parse(private_mosquitto.url("simulator"), None)
    with connect(postgres_url) as connection:
        migrate(connection)
        registry.register(connection, registry.parse(load.description()))
        worker = Worker(postgres_url, private_mosquitto.url("ingest"), tmp_path)
        worker.start().wait_ready()
        worker.kill()
        trusting = flood(prepare(load), address, Pace(window=500, marks=False))
        assert trusting.unacked == 0
        private_mosquitto.kill()
        # It saves twice a minute, perhaps in this very moment.
        (private_mosquitto.folder / "mosquitto.db").unlink(missing_ok=True)
        private_mosquitto.start()
        with worker:
            settle(worker)
            assert compare_load(connection, load).lost == 12_000
            faithful = flood(prepare(load), address, Pace(window=500, marks=True, resend_after=2.0))
        assert faithful.unmarked == 0
        assert compare_load(connection, load) == Difference(12_000, 12_000, lost=0, duplicated=0, extra=0)
