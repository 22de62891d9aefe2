"""From the spool to the database through real brokers and real ingest: stored once, or named as missing."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from qytet.db import registry
from qytet.db.migrate import connect, migrate
from qytet.embedded import EmbeddedNats, EmbeddedPostgres
from qytet_edge.records import Notice, Relayed
from qytet_edge.spool import Host, Limits
from qytet_edge.uplink import Address
from tests.edge.uplink_support import QUICK, Street, description, eventually, street, user_address
from tests.fixtures.availability import required
from tests.flow.workers import Worker
from tests.servers.database import fresh_database
from tests.servers.mosquitto import MosquittoServer

pytestmark = pytest.mark.servers

PATIENT = replace(QUICK, mark_s=(120.0, 240.0))
"""For tests in which a mark that comes late, on a busy machine, must not look like a lost one."""
BOOT = "0badcafe"
NODE = "node-1"
_STORED = """
    select (extract(epoch from phenomenon_time) * 1000)::bigint, value from qytet.reading
    where device = %(device)s order by 1
"""
_LEDGER = """
    select coalesce(sum(received), 0), coalesce(sum(dropped), 0), coalesce(sum(missing), 0),
           coalesce(sum(duplicates), 0)
    from qytet.delivery where device = %(device)s
"""


class Aged(Host):
    """A machine that has been up for so many hours more than it was."""

    hours = 0

    def up_ms(self) -> int:
        return super().up_ms() + self.hours * 3_600_000


class Ledger(NamedTuple):
    """Records of one device, all boots, as the city counts them."""

    received: int
    dropped: int
    missing: int
    duplicates: int


@dataclass
class Database:
    """What the city has stored."""

    url: str
    connection: "psycopg.Connection[Any]"

    def stored(self, device: str) -> list[tuple[int, float]]:
        """Time (ms) and value of each reading."""
        return self.connection.execute(_STORED, {"device": device}).fetchall()

    def ledger(self, device: str) -> Ledger:
        """The delivery ledger's sums."""
        row = self.connection.execute(_LEDGER, {"device": device}).fetchone()
        assert row is not None
        return Ledger(*map(int, row))

    def register(self, gateway: str, *behind: str) -> None:
        """Make the gateway and what is behind it known."""
        registry.register(self.connection, registry.parse(description(gateway, behind)))


@contextmanager
def _database(server: EmbeddedPostgres) -> Iterator[Database]:
    with fresh_database(server) as url, connect(url) as connection:
        migrate(connection)
        yield Database(url, connection)


@pytest.fixture(scope="module")
def city(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker and a database with an ingest worker between them, for the tests that break nothing."""
    with required("Mosquitto"):
        server = MosquittoServer()
    with server as broker, _database(postgres_server) as database:
        # Before the worker reads the registry: what it does not know yet becomes a dead letter, and has no mark.
        for gateway, *behind in (("gw-drain", "meter-1"), ("gw-relay", NODE), ("gw-full",)):
            database.register(gateway, *behind)
        with Worker(database.url, broker.url("ingest"), tmp_path_factory.mktemp("ingest")):
            yield broker, database


async def _whole(there: Street, database: Database, device: str = "") -> None:
    """Everything that was put is marked, and stored with its own time and value, once."""
    await there.settled()
    device = device or there.gateway
    assert database.stored(device) == there.made[device]
    assert database.ledger(device).missing == 0


def test_live_and_backlog(city: tuple[MosquittoServer, Database], tmp_path: Path) -> None:
    """What was kept before there was a line follows as backfill while new records go out live; each is stored once."""
    broker, database = city

    async def run() -> None:
        streams = {"gw-drain": ("pm2_5",), "meter-1": ("pm2_5",)}
        address = user_address(broker, "gw-drain")
        async with street(
            tmp_path, address, "gw-drain", streams=streams, manners=PATIENT, start=False
        ) as there:
            for _ in range(5):
                await there.put(1000)
            there.start()
            await there.uplink.connected()
            for _ in range(50):
                await there.put(1, "meter-1")
                await there.put(1)
            await _whole(there, database)
            await _whole(there, database, "meter-1")
            state = there.uplink.state()
            assert state.live >= 50, "the instrument has no backlog"
            assert state.backfilled >= 4900
            assert state.resent == 0
            assert state.messages - state.live < 5000 / 20, "a backlog travels in batches"
        assert database.ledger("gw-drain").duplicates == 0

    asyncio.run(run())


def test_nodes_behind_it(city: tuple[MosquittoServer, Database], tmp_path: Path) -> None:
    """A node's records are stored under its own name, boot and numbers; its marks reach the relay; notices arrive."""
    broker, database = city

    async def run() -> None:
        async with street(tmp_path, user_address(broker, "gw-relay"), "gw-relay", manners=PATIENT) as there:
            rows = [(there.began_ms + n * 1000, float(n)) for n in range(300)]
            records = [
                Relayed(NODE, BOOT, n + 1, t_ms, n, "ntp", b'{"pm2_5":%d}' % value, lo=1 if n < 200 else None)
                for n, (t_ms, value) in enumerate(rows)
            ]
            await there.spool.relay(records[100:])
            await there.spool.notify(
                Notice(NODE, "log", b'{"v":1,"boot":"0badcafe","up":1,"lvl":"warning","msg":"wet"}')
            )
            await eventually(
                lambda: database.ledger(NODE).received == 200, "what it has, before the rest comes"
            )
            await there.spool.relay(records[:100])
            await there.settled()
            assert database.stored(NODE) == rows
            await there.eventually(lambda: (NODE, BOOT, 300) in there.nodes.marks, "the mark at the relay")
            await there.released()
        said = database.connection.execute("select message from qytet.device_log").fetchall()
        assert ("wet",) in said

    asyncio.run(run())


def test_losses_are_named(city: tuple[MosquittoServer, Database], tmp_path: Path) -> None:
    """What a full spool had to drop is counted by the city as dropped: no number is missing without a word."""
    broker, database = city

    async def run() -> None:
        host = Aged()
        address = user_address(broker, "gw-full")
        async with street(
            tmp_path, address, "gw-full", limits=Limits(age_s=3600), host=host, manners=PATIENT, start=False
        ) as there:
            await there.put(500)
            host.hours = 2
            await there.put(1)
            await there.eventually(lambda: there.spool.state().dropped == 500, "dropped by age")
            await there.put(499)
            there.start()
            await there.settled()
            assert database.ledger("gw-full") == Ledger(received=500, dropped=500, missing=0, duplicates=0)
            assert database.stored("gw-full") == there.made["gw-full"][500:]

    asyncio.run(run())


def test_a_broker_that_lost_everything(
    private_mosquitto: MosquittoServer, postgres_server: EmbeddedPostgres, tmp_path: Path
) -> None:
    """Everything had its PUBACK, ingest was away, the broker is killed and forgets: all comes again, stored once."""
    gateway = "gw-trust"

    async def run(database: Database, worker: Worker) -> None:
        address = user_address(private_mosquitto, gateway)
        async with street(tmp_path, address, gateway) as there:
            await there.put(400)
            await there.eventually(lambda: there.uplink.state().unmarked == 400, "sent")
            await there.eventually(lambda: there.uplink.state().in_flight == 0, "acknowledged")
            await asyncio.to_thread(private_mosquitto.kill)
            await there.put(100)
            await asyncio.to_thread(private_mosquitto.start)
            await asyncio.to_thread(worker.start)
            await there.put(100)
            await _whole(there, database)
            assert there.uplink.state().resent >= 400
            assert there.uplink.state().connects >= 2

    with _database(postgres_server) as database, ExitStack() as stack:
        database.register(gateway)
        worker = Worker(database.url, private_mosquitto.url("ingest"), tmp_path)
        stack.callback(worker.kill)
        asyncio.run(run(database, worker))
        worker.stop()


def test_through_nats(private_nats: EmbeddedNats, postgres_server: EmbeddedPostgres, tmp_path: Path) -> None:
    """The embedded broker speaks MQTT 3.1.1 only: the same promise holds there, across its `kill -9`."""
    gateway = "gw-nats"

    async def run(database: Database) -> None:
        address = Address.parse(private_nats.url("simulator"))
        async with street(
            tmp_path, address, gateway, manners=replace(QUICK, version=3), start=False
        ) as there:
            await there.put(1000)
            there.start()
            await there.put(20)
            await there.eventually(lambda: database.ledger(gateway).received > 0, "the first ones")
            await asyncio.to_thread(private_nats.kill)
            await there.put(20)
            await asyncio.to_thread(private_nats.start)
            await _whole(there, database)

    with _database(postgres_server) as database:
        database.register(gateway)
        with Worker(database.url, private_nats.url("ingest"), tmp_path):
            asyncio.run(run(database))
