"""Malformed messages at full speed beside valid traffic: each is one dead letter, and no reading is lost."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil

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
"""What the worker may grow between a third of the way and the end; the messages themselves are some 80 MB."""

VECTORS = Path(__file__).parents[2] / "contract" / "vectors"


def test_malformed_messages_cost_nothing_but_a_dead_letter(
    private_mosquitto: MosquittoServer, postgres_url: str, tmp_path: Path
) -> None:
    """Ingest never stops, valid readings are all stored, each malformed message is one dead letter, memory is flat."""
    load = Load(VALID // 6, devices=40, readings=6, run="valid", prefix="valid")
    with connect(postgres_url) as connection:
        migrate(connection)
        registry.register(connection, registry.parse(description(load_fleet())))
        registry.register(connection, registry.parse(load.description()))
        with Worker(postgres_url, private_mosquitto.url("ingest"), tmp_path) as worker:
            memory, pid = Memory(worker.pid), worker.pid
            fuzzer = _fuzz(private_mosquitto.url("simulator"))
            # Slow enough to last as long as the malformed ones: about 500 messages a second.
            address = Address.parse(private_mosquitto.url("simulator"), None)
            valid = flood(
                prepare(load, 2), address, Pace(window=500, rate=500, marks=True, resend_after=10.0)
            )
            output, _ = fuzzer.communicate(timeout=200)
            assert fuzzer.returncode == 0, output
            _until(worker, MALFORMED)
            grown = memory.stop()
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
    """Wait until the worker has judged everything."""
    waiting = threading.Event()
    for _ in range(600):
        if worker.metric("dead_letters_total") >= letters:
            return
        waiting.wait(0.1)
    raise AssertionError(json.dumps({"dead letters": worker.metric("dead_letters_total"), "wanted": letters}))


class Memory:
    """A process's resident memory, looked at while it works; `stop` gives what it grew after the first third."""

    def __init__(self, pid: int) -> None:
        self._process, self._seen, self._over = psutil.Process(pid), [0.0], threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.2):
            self._seen.append(self._process.memory_info().rss / 1e6)

    def stop(self) -> float:
        """MB between the highest of the first third and the highest at all."""
        self._over.set()
        self._thread.join()
        return max(self._seen) - max(self._seen[: max(1, len(self._seen) // 3)])
