"""A run under fire: a load by devices, and seeded SIGKILLs of ingest, broker and database while it is sent."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from qytet.db import registry
from qytet.db.migrate import connect, migrate
from qytet_simulators.device.load import Load
from tests.flow.compare import Difference, compare_load
from tests.flow.workers import Worker
from tests.servers.database import DatabaseServer, fresh_database

__all__ = ["Battle", "Broker", "Outcome", "fight", "settle"]


class Broker(Protocol):
    """A broker that can be killed and started again on its data."""

    def url(self, user: str) -> str:
        """URL with that user's password."""

    def start(self) -> Any:
        """Start and wait until it answers."""

    def kill(self) -> None:
        """SIGKILL."""


@dataclass(frozen=True)
class Battle:
    """How much is sent, by devices that resend what has no mark, and what is killed meanwhile."""

    seed: int
    readings: int
    kills: int
    victims: tuple[str, ...] = ("ingest", "broker", "database")
    devices: int = 50
    per_message: int = 6
    pause_s: tuple[float, float] = (0.1, 0.9)
    rate: float = 600.0
    """Messages a second."""


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    difference: Difference
    kills: Counter[str]
    resent: int
    duplicates: int
    seconds: float
    missing: int
    miscounted: list[tuple[Any, ...]]
    """Devices whose hours do not add up to the ledger, or whose readings were counted wrongly; what each says."""


def fight(battle: Battle, database: DatabaseServer, broker: Broker, folder: Path) -> Outcome:
    """Send the load while killing; then wait until the devices have their marks, and compare."""
    began = time.monotonic()
    run = f"k{battle.seed}"
    load = Load(
        battle.readings // battle.per_message,
        devices=battle.devices,
        readings=battle.per_message,
        run=run,
        prefix=run,
    )
    with fresh_database(database) as url, ExitStack() as stack:
        with connect(url) as connection:
            migrate(connection)
            registry.register(connection, registry.parse(load.description()))
        worker = Worker(url, broker.url("ingest"), folder)
        stack.callback(worker.kill)  # of a test that fails; else it has stopped
        worker.start().wait_ready()
        sender = stack.enter_context(_sender(load, battle, broker.url("simulator"), folder))
        stack.callback(sender.kill)
        _await_load(worker, sender, folder)
        kills = _kill(battle, worker, broker, database, sender)
        account = _account(sender)
        settle(worker)
        worker.stop()
        with connect(url) as connection:
            difference = compare_load(connection, load)
            duplicates, missing = _ledger(connection)
            miscounted = connection.execute(_MISCOUNTED).fetchall()
    seconds = time.monotonic() - began
    return Outcome(difference, kills, account["resent"], duplicates, seconds, missing, miscounted)


_MISCOUNTED = """
select device, l.received, l.duplicates, l.rejected, l.late, r.readings, h.*
from (select device, sum(received) as received, sum(duplicates) as duplicates, sum(rejected) as rejected,
             sum(late) as late from qytet.delivery group by device) l
full join (select device, count(*) as readings from qytet.reading group by device) r using (device)
full join (select device, sum(received) as received, sum(duplicate) as duplicates, sum(rejected) as rejected,
                  sum(late) as late, sum(readings) as readings
           from qytet.delivery_hour group by device) h using (device)
where (l.received, l.duplicates, l.rejected, l.late, r.readings)
      is distinct from (h.received, h.duplicates, h.rejected, h.late, h.readings)
"""


def _sender(load: Load, battle: Battle, url: str, folder: Path) -> "subprocess.Popen[bytes]":
    arguments = {
        "records": load.records,
        "devices": load.devices,
        "readings": load.readings,
        "run": load.run,
        "start_ms": load.start_ms,
        "rate": battle.rate,
        "url": url,
    }
    command = [sys.executable, "-m", "tests.flow.sender", json.dumps(arguments)]
    root = Path(__file__).parents[2]
    with (folder / "sender.log").open("wb") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=root, env=dict(os.environ))


def _await_load(worker: Worker, sender: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Wait for the load's first message: a broker killed while the devices first connect is another test."""
    deadline = time.monotonic() + 60
    while not worker.metric("messages_total"):
        assert sender.poll() is None, f"the load did not begin: {(folder / 'sender.log').read_text()}"
        assert time.monotonic() < deadline, "no message of the load arrived"
        time.sleep(0.05)


def _kill(
    battle: Battle,
    worker: Worker,
    broker: Broker,
    database: DatabaseServer,
    sender: "subprocess.Popen[bytes]",
) -> Counter[str]:
    """Kill and start again at seeded moments; goes on while the load lasts, at least `kills` times.

    First ingest, and then the broker with what it has taken for ingest meanwhile: that has to be sent again.
    """
    luck, kills = random.Random(battle.seed), Counter[str]()
    while kills.total() < battle.kills:
        assert sender.poll() is None, f"the load ended ({sender.returncode}) after {kills.total()} kills"
        time.sleep(luck.uniform(*battle.pause_s))  # the moment is the point: seeded, and awaited by nobody
        victim = luck.choice(battle.victims) if kills else "ingest and broker"
        if victim == "ingest":
            worker.kill()
            worker.start()
        elif victim == "ingest and broker":
            worker.kill()
            time.sleep(luck.uniform(0.3, 0.6))
            broker.kill()
            broker.start()
            worker.start()
        else:
            server = broker if victim == "broker" else database
            server.kill()
            time.sleep(luck.uniform(0, 0.5))  # an absence that others must notice
            server.start()
        kills[victim] += 1
    return kills


def _account(sender: "subprocess.Popen[bytes]") -> dict[str, Any]:
    output, _ = sender.communicate(timeout=180)
    assert sender.returncode == 0
    found: dict[str, Any] = json.loads(output)
    return found


def settle(worker: Worker) -> None:
    """Wait until the worker stores nothing more: what the broker still holds has come."""
    worker.wait_ready()
    before, quiet_since = -1.0, time.monotonic()
    while time.monotonic() - quiet_since < 3:
        now = worker.metric("messages_total")
        if now != before:
            before, quiet_since = now, time.monotonic()
        time.sleep(0.1)


def _ledger(connection: Any) -> tuple[int, int]:
    row = connection.execute("select sum(duplicates), sum(missing) from qytet.delivery").fetchone()
    return int(row[0] or 0), int(row[1] or 0)
