"""The servers of a benchmark: real TimescaleDB with fsync, real Mosquitto, one ingest worker as its own process."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from qytet.db import registry
from qytet.db.migrate import connect, migrate
from qytet.embedded.ports import free_port
from tests.servers.database import fresh_database
from tests.servers.mosquitto import MosquittoServer
from tests.servers.timescale import TimescaleServer

__all__ = ["Rig", "Worker", "rig"]

# A small production server's settings, durable; the test servers' own turn fsync off.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "lz4",
}


@dataclass
class Rig:
    """A database, a broker, and a connection to look into the database."""

    url: str
    broker: MosquittoServer
    connection: psycopg.Connection[Any]

    def register(self, description: Mapping[str, Any]) -> None:
        """Register devices."""
        registry.register(self.connection, registry.parse(dict(description)))

    def count(self) -> int:
        """Rows of store.observation."""
        row = self.connection.execute("select count(*) from store.observation").fetchone()
        return int(row[0]) if row else 0


@contextmanager
def rig() -> Iterator[Rig]:
    """Start everything, migrate, and end everything."""
    with (
        TimescaleServer(SETTINGS) as server,
        MosquittoServer() as broker,
        fresh_database(server) as url,
        connect(url) as connection,
    ):
        migrate(connection)
        yield Rig(url, broker, connection)


@dataclass
class Worker:
    """An ingest worker's process."""

    process: "subprocess.Popen[bytes]"
    port: int

    @classmethod
    @contextmanager
    def run(cls, rig: Rig, settings: Mapping[str, str], log: Path) -> "Iterator[Worker]":
        """Start a worker, wait until it is ready, and stop it in order."""
        port = free_port()
        environment = {
            **os.environ,
            "QYTET_DATABASE__URL": rig.url,
            "QYTET_BROKER__URL": rig.broker.url("ingest"),
            "QYTET_INGEST__HTTP_PORT": str(port),
            **settings,
        }
        command = [sys.executable, "-m", "qytet", "ingest", "run"]
        with log.open("ab") as file:
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, cwd=log.parent)
        worker = cls(process, port)
        try:
            worker._until_ready(log)
            yield worker
        finally:
            process.terminate()
            process.wait(60)

    def cpu_seconds(self) -> float:
        """Processor time so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        """Resident memory now."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6

    def _until_ready(self, log: Path) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=2):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the worker did not become ready: {log.read_text()[-2000:]}")
