"""Malformed messages at full speed beside valid traffic: each is one dead letter, and no reading is lost."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

import psutil
import pytest

from qytet.db import registry
from qytet.db.migrate import connect, migrate
from qytet_simulators.city.fleet import load_fleet
from qytet_simulators.device.address import Address
from qytet_simulators.device.describe import description
from qytet_simulators.device.flood import Pace, flood, prepare
from qytet_simulators.device.load import Load
from tests.flow.compare import compare_load
from tests.flow.workers import Worker
from tests.servers.mosquitto import MosquittoServer

MALFORMED = 200_000
VALID = 150_000
FLAT_MB = 40.0
"""What the worker may grow once a third of the malformed messages is judged; they themselves are some 80 MB."""

STALLED_S = 60.0
"""A worker that judges nothing for so long has stopped; how long all of it takes is the machine's affair."""

VECTORS = Path(__file__).parents[2] / "contract" / "vectors"


@pytest.mark.timeout(900)
def test_malformed_messages_cost_nothing_but_a_dead_letter(
    private_mosquitto: MosquittoServer, postgres_url: str, tmp_path: Path
) -> None:
    """Ingest never stops, valid readings are all stored, each malformed message is one dead letter, memory is flat."""
    load = Load(VALID // 6, devices=40, readings=6, run="valid", prefix="valid")
    with connect(postgres_url) as connection:
        migrate(connection)
        registry.register(connection, registry.parse(description(load_fleet())))
        registry.register(connection, registry.parse(load.description()))
        with (
            Worker(postgres_url, private_mosquitto.url("ingest"), tmp_path) as worker,
            Memory(worker) as memory,
        ):
            pid = worker.pid
            fuzzer = _fuzz(private_mosquitto.url("simulator"))
            # Slow enough to last as long as the malformed ones: about 500 messages a second.
            address = Address.parse(private_mosquitto.url("simulator"), None)
            valid = flood(
                prepare(load, 2), address, Pace(window=500, rate=500, marks=True, resend_after=10.0)
            )
            output, _ = fuzzer.communicate(timeout=600)
            assert fuzzer.returncode == 0, output
            _until(worker, MALFORMED)
            grown = memory.grown()
            assert worker.pid == pid
        difference = compare_load(connection, load)
        letters = connection.execute("select count(*), sum(seen) from qytet.dead_letter").fetchone()
    print(f"\n{difference}; letters and times seen {letters}; worker grew {grown:.1f} MB; {output[:300]!r}")
    assert valid.unmarked == 0
    assert (difference.lost, difference.duplicated, difference.extra) == (0, 0, 0)
    assert letters is not None
    assert letters[0] == MALFORMED
    assert grown < FLAT_MB


def _fuzz(url: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "qytet", "simulate", "fuzz", "--count", str(MALFORMED), "--seed", "7"]
    command += ["--vectors", str(VECTORS), "--json"]
    environment = {**os.environ, "QYTET_BROKER__URL": url}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


def _until(worker: Worker, letters: int) -> None:
    """Wait until the worker has judged everything; fails if it judges nothing for a while."""
    waiting, judged, since = threading.Event(), -1.0, time.monotonic()
    while judged < letters:
        now = worker.metric("dead_letters_total")
        if now > judged:
            judged, since = now, time.monotonic()
        assert time.monotonic() - since < STALLED_S, {"dead letters": judged, "wanted": letters}
        waiting.wait(0.1)


class Memory:
    """A worker's resident memory while it judges; `grown` tells what it grew once a third was judged.

    By then its window of unacknowledged messages is full. How long that takes is the machine's affair, so the
    reference is taken by work done and not by the clock.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker, self._process, self._over = worker, psutil.Process(worker.pid), threading.Event()
        self._before, self._after = [0.0], [0.0]
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.2):
            begun = not self._after[1:] and self._worker.metric("dead_letters_total") < MALFORMED / 3
            (self._before if begun else self._after).append(self._process.memory_info().rss / 1e6)

    def grown(self) -> float:
        """MB between the highest until a third was judged and the highest after it."""
        assert len(self._before) > 1, "nothing was seen before a third was judged"
        assert len(self._after) > 1, "nothing was seen after a third was judged"
        return max(self._after) - max(self._before)
