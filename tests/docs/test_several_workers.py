"""Running several workers as the page says: by hash, and while their number changes."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qytet.db import registry
from qytet.db.migrate import connect, migrate
from qytet.embedded import EmbeddedNats
from qytet_simulators.device.load import Load
from tests.docs.markdown import ROOT
from tests.fixtures.availability import required
from tests.flow.compare import compare_load
from tests.flow.workers import Worker

LOAD = Load(6000, devices=20, readings=3, run="several", prefix="several")
UNKNOWN = Load(1, devices=1, readings=1, run="nobody", prefix="nobody")
STARTS = 4
"""A load lasts as long as so many workers take to start on this machine, now: two start while it is sent."""
SHARDS = [
    {"QYTET_INGEST__SHARD": f"{number}/2", "QYTET_INGEST__CLIENT_ID": f"qytet-ingest-{number}"}
    for number in (0, 1)
]


def sender(load: Load, url: str, *, marks: bool, rate: float = 500.0) -> "subprocess.Popen[bytes]":
    """The load as a process of its own, that ends when all is marked."""
    given: dict[str, Any] = {
        name: getattr(load, name) for name in ("records", "devices", "readings", "run", "start_ms")
    }
    command = [
        sys.executable,
        "-m",
        "tests.flow.sender",
        json.dumps(given | {"rate": rate, "marks": marks, "url": url}),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)


def await_letter(workers: list[Worker]) -> None:
    """Wait until one of the workers has committed a dead letter."""
    deadline = time.monotonic() + 60
    while not any(worker.metric("dead_letters_total") for worker in workers):
        assert time.monotonic() < deadline, "no dead letter"
        time.sleep(0.05)


@pytest.fixture
def patient_nats(tmp_path: Path) -> Iterator[EmbeddedNats]:
    """A broker that sends nothing twice to a worker that stands still for a while: a letter's `seen` would tell."""
    with required("NATS"), EmbeddedNats(tmp_path / "nats", ack_wait=60.0) as server:
        yield server


@pytest.mark.servers
def test_changing_the_number_of_workers_loses_and_doubles_nothing(
    patient_nats: EmbeddedNats, postgres_url: str, tmp_path: Path
) -> None:
    """The steps of the page under load: all is stored once and marked; an unknown device has one letter."""
    with connect(postgres_url) as connection:
        migrate(connection)
        registry.register(connection, registry.parse(LOAD.description()))
        broker = patient_nats.url("ingest")
        begun = time.monotonic()
        with Worker(postgres_url, broker, tmp_path) as old:
            rate = LOAD.records / (STARTS * (time.monotonic() - begun))
            load = sender(LOAD, patient_nats.url("simulator"), marks=True, rate=min(max(rate, 50.0), 500.0))
            for shard in SHARDS:
                with Worker(postgres_url, broker, tmp_path, shard):
                    pass  # ready, so its session is there; then it stops
            assert load.poll() is None, "the load ended before the workers were changed"
            old.stop()
            with (
                Worker(postgres_url, broker, tmp_path, SHARDS[0]) as first,
                Worker(postgres_url, broker, tmp_path, SHARDS[1]) as second,
            ):
                output, _ = load.communicate(timeout=180)
                assert json.loads(output)["unmarked"] == 0
                lonely = sender(UNKNOWN, patient_nats.url("simulator"), marks=False)
                assert json.loads(lonely.communicate(timeout=60)[0])["acked"] == 1
                await_letter([first, second])
        difference = compare_load(connection, LOAD)
        letters = connection.execute("select reason, seen from qytet.dead_letter").fetchall()
    assert (difference.generated, difference.lost, difference.duplicated) == (18_000, 0, 0)
    assert letters == [("unknown_device", 1)]
