"""The promise under fire: ingest, broker and database are killed at seeded moments, and nothing is lost or doubled."""

from pathlib import Path

import pytest

from qytet.embedded import EmbeddedNats, EmbeddedPostgres
from tests.flow.kills import Battle, Outcome, fight
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
    private_mosquitto: MosquittoServer, private_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    """Without resending what has no mark, a killed broker loses readings: the marks are what the promise rests on."""
    battle = Battle(seed=14, readings=60_000, kills=5, victims=("broker",), faithful=False)
    outcome = fight(battle, private_postgres, private_mosquitto, tmp_path)
    print(f"\n{outcome}")
    assert outcome.difference.lost > 0
    assert outcome.difference.duplicated == 0
    assert outcome.missing > 0, "the ledger must name what is missing"
