"""Every recording through broker, ingest and database: each valid value once, and nothing new the second time."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qytet.catalogue import properties
from qytet.db import registry
from qytet.db.migrate import connect, migrate
from qytet.embedded import EmbeddedNats, EmbeddedPostgres
from qytet_simulators.replay.expect import Expected, expected, repeated
from qytet_simulators.replay.mapping import built_in, load
from tests.flow.workers import Worker
from tests.servers.database import fresh_database
from tests.simulators.replay_support import recordings
from tests.simulators.test_replay_recordings import SPOTS, utc_ms

_STORED = """
select device, key, (extract(epoch from phenomenon_time) * 1000)::bigint, value from qytet.reading
where device = any(%(devices)s)
"""
_READINGS = "select count(*) from qytet.reading where device = any(%(devices)s)"
_COLLISIONS = (
    "select count(*) from qytet.dead_letter where reason = 'collision' and device = any(%(devices)s)"
)
# A message that came before ingest heard of its device was tried again since: its letter is closed.
_OTHERS = """
select count(*) from qytet.dead_letter
where reason <> 'collision' and replayed_at is null and device = any(%(devices)s)
"""
_UNITS = "select distinct key, ucum from qytet.datastream where device = any(%(devices)s)"


@dataclass
class Platform:
    """A running platform, and a folder for what `qytet replay` notes."""

    connection: psycopg.Connection[Any]
    broker_url: str
    folder: Path

    def replay(self, name: str, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run the command as a person would."""
        command = [sys.executable, "-m", "qytet", "replay", name, "--json", *options]
        environment = {**os.environ, "QYTET_BROKER__URL": self.broker_url, "QYTET_DATA_DIR": str(self.folder)}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=400, check=False
        )

    def stored(self, devices: list[str]) -> Counter[Expected]:
        """Every reading of these devices."""
        with self.connection.cursor() as cursor:
            cursor.execute(_STORED, {"devices": devices})
            return Counter(Expected(*row) for row in cursor)

    def one(self, query: str, devices: list[str]) -> int:
        """A count over these devices."""
        row = self.connection.execute(query.encode(), {"devices": devices}).fetchone()
        return int(row[0]) if row else 0


@pytest.fixture(scope="module")
def platform(nats_server: EmbeddedNats, postgres_server: EmbeddedPostgres) -> Iterator[Platform]:
    """Broker, database and one worker, shared by the recordings."""
    with tempfile.TemporaryDirectory(prefix="qytet-replay-") as name, fresh_database(postgres_server) as url:
        folder = Path(name)
        with connect(url) as connection:
            migrate(connection)
            with Worker(url, nats_server.url("ingest"), folder, {"QYTET_INGEST__CLIENT_ID": "replay-test"}):
                yield Platform(connection, nats_server.url("simulator"), folder)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", built_in())
def test_a_recording_arrives_whole_and_once(name: str, platform: Platform) -> None:
    """Each valid value is stored once, in the catalogue's unit and at its instant; a second replay adds nothing."""
    data = str(recordings())
    described = platform.replay(name, "--data", data, "--describe")
    assert described.returncode == 0, described.stderr
    description = json.loads(described.stdout)
    registry.register(platform.connection, registry.parse(description))
    devices = [device["device"] for device in description["devices"]]

    first = platform.replay(name, "--data", data)
    assert first.returncode == 0, first.stdout + first.stderr
    mapping = load(name)
    stored = platform.stored(devices)
    wanted = Counter(expected(mapping, Path(data)))
    assert sum(wanted.values()) > 0
    assert stored == wanted
    assert platform.one(_OTHERS, devices) == 0
    _collisions(platform, mapping, data, devices)
    _spots(name, stored)
    for key, unit in platform.connection.execute(_UNITS, {"devices": devices}).fetchall():
        assert unit == properties()[key.partition(":")[0]].ucum

    letters = platform.one(_COLLISIONS, devices)
    second = platform.replay(name, "--data", data, "--fresh")
    assert second.returncode == 0, second.stdout + second.stderr
    assert platform.one(_READINGS, devices) == sum(wanted.values())  # none more; values are never changed
    assert platform.one(_COLLISIONS, devices) == letters


def _collisions(platform: Platform, mapping: Any, data: str, devices: list[str]) -> None:
    """A stamp that the recording repeats is a dead letter, and only such are."""
    doubled = repeated(mapping, Path(data))
    assert bool(platform.one(_COLLISIONS, devices)) == bool(doubled)


def _spots(name: str, stored: Counter[Expected]) -> None:
    """Values taken by hand from the files stand where they belong."""
    for device, key, instant, value in SPOTS[name]:
        found = [
            one.value for one in stored if (one.device, one.key, one.t_ms) == (device, key, utc_ms(instant))
        ]
        assert found == [pytest.approx(value)], (device, key, instant)
