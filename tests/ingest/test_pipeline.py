"""One worker's pipeline: batches by size and time, acknowledged after the commit and never before."""

import json
import threading
from contextlib import contextmanager

import psycopg
import pytest

from qytet.db.migrate import connect
from qytet.errors import SettingsError
from qytet.settings import IngestSettings
from qytet_ingest import pipeline as module
from qytet_ingest.metrics import Metrics
from qytet_ingest.pipeline import Pipeline, Stopped
from tests.ingest.memory_source import MemorySource
from tests.ingest.rig import BOOT, NOW, Rig, obs, register
from tests.ingest.waiting import eventually

RESTORE = """
insert into store.property
select 'message_loss_ratio', domain, '%', 0, 100, 0, 20, agg, sampling, core, sdm, cf_name, reference
from store.property limit 1
"""


class Clock:
    """Time that passes when the test says so."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return NOW / 1000


@pytest.fixture
def world(plain_url, monkeypatch):
    """Makes pipelines on a database with a device of this test's own, under a clock of the test's own."""
    clock, opened, events = Clock(), [], []
    monkeypatch.setattr(module, "time", clock)
    with connect(plain_url) as db:
        rig = Rig(db, register(db))

        def make(url=plain_url, stopping=None, **settings):
            source, stopping = MemorySource(), stopping or threading.Event()
            events.append(stopping)
            known = IngestSettings(**{"batch_ms": 100, "marks_ms": 250, **settings})
            made = Pipeline(url, known, source, Metrics(), stopping)
            opened.append(made)
            return made, source

        make.rig, make.clock, make.db = rig, clock, db
        yield make
    for event in events:  # a test that failed may have left a thread waiting for its database
        event.set()
    for one in opened:
        one.close()


def figures(pipeline, name):
    return pipeline._metrics.collectors.get_sample_value(f"qytet_ingest_{name}") or 0


def hear(pipeline):
    """Look until the pipeline has heard of a change: a notification takes its time on its way."""
    before = pipeline.registry

    def heard():
        pipeline._with_database(pipeline._hear)
        return pipeline.registry is not before

    eventually(heard, "the change of the registry is heard")


def live(rig, *seqs):
    return [(rig.topic("obs"), obs(seq, NOW + seq, {"pm2_5": float(seq)})) for seq in seqs]


def test_a_batch_is_written_when_it_is_full(world):
    """Reaching the number of readings commits and acknowledges at once, and gives the room back."""
    pipeline, source = world(batch_readings=3)
    pipeline.feed(source.put(*live(world.rig, 1, 2)))
    assert source.events == []
    assert source.held > 0
    pipeline.feed(source.put(*live(world.rig, 3)))
    assert source.acknowledged == [1, 2, 3]
    assert source.held == 0
    assert len(world.rig.values()) == 3
    assert figures(pipeline, "batches_total") == 1


def test_a_batch_is_written_when_its_time_has_come(world):
    """An unfilled batch waits for its time, counted from its first message, and not longer."""
    pipeline, source = world(batch_ms=100)
    pipeline.feed(source.put(*live(world.rig, 1)))
    pipeline.tick()
    world.clock.now += 0.06
    pipeline.feed(source.put(*live(world.rig, 2)))
    pipeline.tick()
    assert source.acknowledged == []
    assert pipeline.wait() == pytest.approx(0.04, abs=0.001)
    world.clock.now += 0.041
    assert pipeline.wait() == 0
    pipeline.tick()
    assert source.acknowledged == [1, 2]


def test_acknowledged_only_after_the_commit(world):
    """At the moment of acknowledging, another connection sees the readings, the ledger and the dead letter."""
    pipeline, source = world()
    seen = []
    source.on_acknowledge = lambda: seen.append(
        (len(world.rig.values()), world.rig.ledger()["received"], world.rig.reasons())
    )
    pipeline.feed(source.put(*live(world.rig, 1, 2), (world.rig.topic("obs"), b"{")))
    pipeline.flush()
    assert seen == [(2, 2, ["not_json"])]
    assert source.acknowledged == [1, 2, 3]


def test_marks_tell_what_is_committed_and_nothing_more(world):
    """A mark that is due while records are in hand leaves them out; after their commit the next one has them."""
    pipeline, source = world(batch_ms=10_000, marks_ms=250)
    pipeline.feed(source.put(*live(world.rig, 1)))
    pipeline.flush()
    pipeline.feed(source.put(*live(world.rig, 2, 3)))
    world.clock.now += 1
    pipeline.tick()
    pipeline.drain()
    topic = world.rig.topic("stored")
    assert [(name, json.loads(mark)) for name, mark in source.marks] == [
        (topic, {"v": 1, "boot": BOOT, "seq": 1}),
        (topic, {"v": 1, "boot": BOOT, "seq": 3}),
    ]


def test_a_duplicate_is_answered_with_a_mark(world):
    """A device that resends what is stored hears so: its mark may have been lost."""
    pipeline, source = world()
    for _ in range(2):
        pipeline.feed(source.put(*live(world.rig, 1)))
        pipeline.drain()
    assert [json.loads(mark)["seq"] for _, mark in source.marks] == [1, 1]
    assert figures(pipeline, "duplicates_total") == 1


@contextmanager
def renamed(admin_url, url):
    """The database of `url` cannot be connected to, and its connections are cut."""
    name = url.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"alter database {name} with allow_connections false")
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
        try:
            yield
        finally:
            admin.execute(f"alter database {name} with allow_connections true")


def test_an_absent_database_means_waiting(world, own_url, postgres_server):
    """Nothing is acknowledged while the database is away; when it is back, all is stored once and acknowledged."""
    with connect(own_url) as db:
        name = register(db)
    pipeline, source = world(own_url)
    topic = f"qytet/v1/tirana/{name}/obs".encode()
    messages = [(topic, obs(seq, NOW + seq, {"pm2_5": 1.0})) for seq in range(1, 501)]
    with renamed(postgres_server.admin_url, own_url):
        flushing = threading.Thread(
            target=lambda: (pipeline.feed(source.put(*messages)), pipeline.flush()), daemon=True
        )
        flushing.start()
        eventually(lambda: figures(pipeline, "database_failures_total") >= 3, "it tries again and again")
        assert flushing.is_alive()
        assert source.acknowledged == []
        assert figures(pipeline, "database_connected") == 0
    flushing.join(60)
    assert not flushing.is_alive()
    assert len(source.acknowledged) == 500
    assert figures(pipeline, "database_connected") == 1
    with connect(own_url) as db:
        assert db.execute("select count(*) from store.observation").fetchone() == (500,)


def test_stopping_while_the_database_is_away_acknowledges_nothing(world, own_url, postgres_server):
    """Asked to stop, a worker without its database gives up at once; the broker keeps what was not committed."""
    with connect(own_url) as db:
        name = register(db)
    stopping = threading.Event()
    pipeline, source = world(own_url, stopping)
    pipeline.feed(source.put((f"qytet/v1/tirana/{name}/obs".encode(), obs(1, NOW, {"pm2_5": 1.0}))))
    with renamed(postgres_server.admin_url, own_url):
        stopping.set()
        with pytest.raises(Stopped):
            pipeline.drain()
        assert source.events == []
        assert source.held > 0


def test_the_registry_is_read_again_when_it_changes(world):
    """A device that is registered while the worker runs is known at the next look; what it said before is stored."""
    pipeline, source = world(latest_ms=50)
    name = f"{world.rig.device}-new"
    topic = f"qytet/v1/tirana/{name}/obs".encode()
    pipeline.feed(source.put(*((topic, obs(seq, NOW + seq, {"pm2_5": 1.0})) for seq in range(1, 251))))
    pipeline.flush()
    stranger = Rig(world.db, world.rig.device)
    stranger.device = name
    assert stranger.reasons() == ["unknown_device"] * 250
    register(world.db, name)
    hear(pipeline)
    for _ in range(3):  # a hundred letters at each look
        world.clock.now += 10
        pipeline.tick()
    assert len(stranger.values()) == 250
    assert stranger.ledger()["stored_mark"] == 250
    assert not pipeline._second_tries
    pipeline.feed(
        source.put((topic, obs(1, NOW + 1, {"pm2_5": 1.0})), (topic, obs(251, NOW, {"pm2_5": 1.0})))
    )
    pipeline.drain()
    assert len(stranger.values()) == 251
    assert stranger.ledger()["duplicates"] == 1


def test_an_outage_keeps_newest_values_and_commands_back_no_longer_than_it_lasts(world, monkeypatch):
    """After ten minutes without a database, and a slow write, the table is ten seconds old at most; looks go on."""
    pipeline, source = world(latest_ms=1000)
    written, looks = [], []
    flush, hear = pipeline._latest.flush, pipeline._hear

    def slow(connection):
        if not written:
            world.clock.now += 600
            written.append(None)
            raise psycopg.OperationalError("gone")
        world.clock.now += 3
        written.append(flush(connection))

    monkeypatch.setattr(pipeline._latest, "flush", slow)
    monkeypatch.setattr(
        pipeline, "_hear", lambda connection: (looks.append(world.clock.now), hear(connection))
    )
    pipeline.feed(source.put((world.rig.topic("obs"), obs(1, NOW, {"pm2_5": 1.0}))))
    pipeline.flush()
    pipeline.tick()
    assert written == [None, 1]
    world.clock.now += 2
    pipeline.tick()
    assert len(written) == 2
    assert len(looks) == 2
    world.clock.now += 9
    pipeline.tick()
    assert len(written) == 3


def test_letters_that_cannot_be_stored_do_not_hide_those_that_can(world):
    """The second try goes through all letters of the device, past a hundred that still cannot be stored."""
    pipeline, source = world()
    topic = world.rig.topic("obs")
    bad = [(topic, obs(seq, NOW + seq, {"pm1": 1.0})) for seq in range(1, 151)]
    good = [(topic, obs(seq, NOW + seq, {"pm10": 1.0})) for seq in range(151, 161)]
    pipeline.feed(source.put(*bad, *good))
    pipeline.flush()
    birth = {"v": 1, "boot": BOOT, "lo": 1, "fw": "1", "board": "b", "ds": [["pm10", "ug/m3"]]}
    pipeline.feed(source.put((world.rig.topic("birth"), json.dumps(birth).encode())))
    for _ in range(4):
        pipeline.tick()
    assert [key for key, _, _ in world.rig.values()] == ["pm10"] * 10
    assert not pipeline._second_tries


def test_a_second_try_that_is_interrupted_is_not_believed(world, monkeypatch):
    """The connection breaks while a letter is replayed: the next try stores it and sees no duplicate."""
    pipeline, source = world()
    name = f"{world.rig.device}-late"
    topic = f"qytet/v1/tirana/{name}/obs".encode()
    pipeline.feed(source.put((topic, obs(1, NOW, {"pm2_5": 1.0}))))
    pipeline.flush()
    register(world.db, name)
    original, broken = module.Replayer._note, []

    def note(self, outcome):
        original(self, outcome)
        if not broken:
            broken.append(outcome)
            raise psycopg.OperationalError("the connection was lost")

    monkeypatch.setattr(module.Replayer, "_note", note)
    hear(pipeline)
    for _ in range(3):
        world.clock.now += 10
        pipeline.tick()
    assert [outcome.stored for outcome in broken] == [1]
    late = Rig(world.db, name)
    assert late.values() == [("pm2_5", 0, 1.0)]
    assert late.ledger()["received"] == 1


def test_a_stream_that_vanishes_under_a_batch_does_not_stop_it(world):
    """The newest datastream is closed while its readings are in hand: they were accepted, and they are stored."""
    pipeline, source = world()
    rig = Rig(world.db, register(world.db))
    hear(pipeline)
    pipeline.feed(source.put(*live(rig, 1)))
    statement = "update store.device set valid = tstzrange('2023-01-01', '2023-01-02') where name = %s"
    world.db.execute(statement, [rig.device])
    hear(pipeline)
    pipeline.flush()
    assert rig.values() == [("pm2_5", 1, 1.0)]


def test_a_birth_beyond_the_migrated_catalogue_does_not_stop_the_worker(world):
    """A property that the database lacks is not registered; the birth is noted, and readings go on."""
    world.db.execute("delete from store.property where property = 'message_loss_ratio'")
    try:
        pipeline, source = world()
        birth = {"v": 1, "boot": BOOT, "lo": 1, "fw": "1", "board": "b", "ds": [["message_loss_ratio", "%"]]}
        pipeline.feed(source.put((world.rig.topic("birth"), json.dumps(birth).encode()), *live(world.rig, 1)))
        pipeline.flush()
        assert source.acknowledged == [1, 2]
        assert world.rig.values() == [("pm2_5", 1, 1.0)]
    finally:
        world.db.execute(RESTORE)


def test_a_shard_that_does_not_exist_is_refused(world):
    """Part 2 of 2 would take nothing and acknowledge everything: an error instead."""
    with pytest.raises(SettingsError, match="2/2 does not exist"):
        world(shard="2/2")


def test_what_another_worker_stored_moves_the_mark(world):
    """A gap in memory that another worker filled in the ledger is looked up once its device resends above it."""
    pipeline, source = world()
    pipeline.feed(source.put(*live(world.rig, 1)))
    pipeline.flush()
    world.db.execute(
        "update store.delivery set received = received + '{[2,4)}'::int8multirange where boot = %s", (BOOT,)
    )
    boot = pipeline.registry.devices[world.rig.device].boots[BOOT]
    pipeline.feed(source.put(*live(world.rig, 4)))
    pipeline.flush()
    assert boot.mark() == 1
    pipeline.feed(source.put(*live(world.rig, 4)))
    pipeline.flush()
    assert boot.mark() == 4
