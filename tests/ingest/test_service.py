"""A worker as a process: it tells how it is, waits for what is absent, stops in order, shares devices."""

import json
import queue
import subprocess
import sys
import zlib
from datetime import timedelta
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from qytet.db import control, registry
from qytet.db.migrate import connect, migrate
from qytet.embedded.ports import free_port
from tests.flow.workers import Worker
from tests.ingest.rig import NOW, describe, obs
from tests.ingest.waiting import eventually
from tests.servers.database import fresh_database


class Device:
    """Publishes at QoS 1 as the broker's user `simulator`, and waits for the broker's answers."""

    def __init__(self, broker, name):
        self.mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name)
        self.mqtt.username_pw_set("simulator", broker.password("simulator"))
        self.mqtt.connect("127.0.0.1", broker.port)
        self.mqtt.loop_start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def say(self, messages):
        """Publish (topic, payload) and wait until the broker has all."""
        for info in [self.mqtt.publish(topic, payload, 1) for topic, payload in messages]:
            info.wait_for_publish(60)
            assert info.is_published()


def prepare(url, *names):
    with connect(url) as db:
        migrate(db)
        registry.register(db, registry.parse(describe(*names)))


def count(url):
    with connect(url) as db:
        return db.execute("select count(*) from store.observation").fetchone()[0]


def live(name, seqs):
    return [(f"qytet/v1/tirana/{name}/obs", obs(seq, NOW + seq, {"pm2_5": 1.0})) for seq in seqs]


def test_ready_tells_what_is_away_and_nothing_is_lost(private_mosquitto, private_postgres, tmp_path):
    """Alive throughout; not ready while database or broker is away; ready again by itself; everything stored once."""
    with fresh_database(private_postgres) as url:
        prepare(url, "node")
        with (
            Worker(url, private_mosquitto.url(), tmp_path) as worker,
            Device(private_mosquitto, "d") as device,
        ):
            assert worker.get("/health") == (200, '{"alive": true}')
            assert worker.get("/nowhere")[0] == 404
            assert worker.metric("broker_connected") == 1, "gauges tell the truth without a look at /ready"
            device.say(live("node", range(1, 51)))
            eventually(lambda: worker.metric("readings_total") == 50, "50 stored")
            private_postgres.kill()
            eventually(lambda: worker.get("/ready")[0] == 503, "not ready without the database")
            assert json.loads(worker.get("/ready")[1]) == {"broker": True, "database": False}
            assert worker.get("/health")[0] == 200
            device.say(live("node", range(51, 101)))
            private_postgres.start()
            worker.wait_ready()
            eventually(lambda: count(url) == 100, "100 stored")
            eventually(lambda: worker.metric("held_bytes") == 0, "acknowledged, so the broker has room again")
            assert worker.metric("duplicates_total") == 0
            private_mosquitto.stop()  # an acknowledgement that is on its way now is lost, and its message comes again
            eventually(lambda: '"broker": false' in worker.get("/ready")[1], "not ready without the broker")
            private_mosquitto.start()
            worker.wait_ready()
            eventually(lambda: worker.metric("held_bytes") == 0, "all room given back")
            assert worker.metric("broker_reconnects") >= 1
            eventually(device.mqtt.is_connected, "the device is back")
            device.say(live("node", range(101, 151)))
            eventually(lambda: count(url) == 150, "150 stored")
        assert count(url) == 150


def test_sigterm_drains(private_mosquitto, own_url, tmp_path):
    """Stopped in the middle of a load with long batches: exit 0, and what it had is stored and acknowledged."""
    prepare(own_url, "drain")
    options = {"QYTET_INGEST__BATCH_MS": "60000", "QYTET_INGEST__CLIENT_ID": "drain"}
    worker = Worker(own_url, private_mosquitto.url(), tmp_path, options)
    with worker, Device(private_mosquitto, "drain-device") as device:
        device.say(live("drain", range(1, 201)))
        eventually(lambda: worker.metric("messages_total") == 200, "received")
        assert count(own_url) == 0
    assert count(own_url) == 200
    with Worker(
        own_url, private_mosquitto.url(), tmp_path, options | {"QYTET_INGEST__BATCH_MS": "10"}
    ) as after:
        with Device(private_mosquitto, "drain-device") as device:
            device.say(live("drain", [201]))
        eventually(lambda: count(own_url) == 201, "the next worker goes on")
        assert after.metric("messages_total") == 1, "nothing acknowledged came again"


def test_a_command_reaches_its_device_and_the_answer_its_table(private_mosquitto, own_url, tmp_path):
    """Asked in the database, sent by the worker, answered by the device, and final in the database."""
    prepare(own_url, "commanded")
    with (
        Worker(own_url, private_mosquitto.url(), tmp_path, {"QYTET_INGEST__CLIENT_ID": "commanding"}),
        Device(private_mosquitto, "commanded-device") as device,
        connect(own_url) as db,
    ):
        heard = queue.Queue()
        device.mqtt.on_message = lambda _client, _data, message: heard.put(message)
        device.mqtt.subscribe("qytet/v1/tirana/commanded/cmd/+", 1)
        asked = control.ask(db, "commanded", "rebirth", {}, expires_in=timedelta(minutes=5))
        message = heard.get(timeout=60)
        assert json.loads(message.payload)["cmd"] == "rebirth"
        ident = message.topic.rpartition("/")[2]
        assert ident == asked["command_id"]
        device.say([(f"qytet/v1/tirana/commanded/ack/{ident}", b'{"v":1,"s":"done"}')])
        assert control.await_answer(db, ident, 60)["state"] == "done"


def test_two_workers_share_the_devices(private_mosquitto, own_url, tmp_path):
    """By shard: each device, and each stranger, has one worker; together they store everything exactly once."""
    names = [f"shared-{n}" for n in range(12)]
    prepare(own_url, *names)
    shards = [
        {
            "QYTET_INGEST__SHARD": f"{n}/2",
            "QYTET_INGEST__CLIENT_ID": f"shard-{n}",
            "QYTET_INGEST__LATEST_MS": "50",
        }
        for n in range(2)
    ]
    mine = [[name for name in names if zlib.crc32(name.encode()) % 2 == n] for n in range(2)]
    one, two = (Worker(own_url, private_mosquitto.url(), tmp_path, shard) for shard in shards)
    with one, two, Device(private_mosquitto, "shard-device") as device:
        for name in names:
            device.say(live(name, range(1, 21)))
        strangers = [f"stranger-{n}" for n in range(6)]
        for name in strangers:
            device.say(live(name, [1]))
        eventually(lambda: count(own_url) == 240, "all stored")
        eventually(  # a worker counts what it has committed
            lambda: [w.metric("readings_total") for w in (one, two)] == [20 * len(part) for part in mine],
            "each worker counts the readings of its own devices",
        )
        eventually(
            lambda: sum(w.metric("dead_letters_total") for w in (one, two)) == 6, "six letters, one each"
        )
        prepare(own_url, *strangers)
        eventually(lambda: count(own_url) == 246, "adopted while the workers run, and stored by themselves")
        with connect(own_url) as db:
            letters = "select count(*), sum(seen), count(replayed_at) from qytet.dead_letter"
            eventually(lambda: db.execute(letters).fetchone() == (6, 6, 6), "each letter once, and closed")
            assert db.execute("select sum(duplicates) from store.delivery").fetchone() == (0,)


def test_tls_with_a_private_authority(mosquitto_tls, own_url, tmp_path):
    """Over mqtts with the authority's certificate everything is stored; without it the worker says why not."""
    prepare(own_url, "tls")
    options = {"QYTET_BROKER__CA_FILE": str(mosquitto_tls.ca_file)}
    with (
        Worker(own_url, mosquitto_tls.url(tls=True), tmp_path, options) as worker,
        Device(mosquitto_tls, "tls-device") as device,
    ):
        payload = [(t, p + b" " * 20_000) for t, p in live("tls", range(1, 301))]
        device.say(payload)
        eventually(lambda: count(own_url) == 300, "stored over TLS")
        eventually(lambda: worker.metric("held_bytes") == 0, "all room given back")
    stranger = Worker(own_url, mosquitto_tls.url(tls=True), tmp_path).start()
    try:
        eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in stranger.log.read_text(), "the reason is told")
        assert stranger.get("/ready")[0] == 503
        assert mosquitto_tls.password("ingest") not in stranger.log.read_text()
    finally:
        stranger.stop()


def run(tmp_path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "qytet", "ingest", "run"]
    return subprocess.run(
        command, env={**environment, "HOME": str(tmp_path), "COLUMNS": "200"}, capture_output=True, text=True,
        cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"QYTET_BROKER__URL": ""}, "There is no broker to receive from."),
        ({"QYTET_BROKER__URL": "http://host"}, "not a broker's address"),
        ({"QYTET_INGEST__SHARD": "1/1"}, "shard 1/1 does not exist"),
        ({"QYTET_INGEST__SHARD": "half"}, "ingest.shard"),
        ({}, "Run `qytet db migrate`."),
    ],
)
def test_what_cannot_begin_says_why(settings, words, postgres_url, tmp_path):
    """Each wrong beginning ends with exit code 1 and a sentence, without a traceback."""
    known = {
        "QYTET_DATABASE__URL": postgres_url,
        "QYTET_BROKER__URL": "mqtt://127.0.0.1:1",
        "QYTET_INGEST__HTTP_PORT": str(free_port()),
    }
    done = run(tmp_path, **(known | settings))
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken(private_mosquitto, own_url, tmp_path):
    """A second worker on the port of the first ends at once and says which setting to change."""
    options = {"QYTET_INGEST__CLIENT_ID": "first"}
    with Worker(own_url, private_mosquitto.url(), tmp_path, options) as first:
        done = run(
            tmp_path,
            QYTET_DATABASE__URL=own_url,
            QYTET_BROKER__URL=private_mosquitto.url(),
            QYTET_INGEST__CLIENT_ID="second",
            QYTET_INGEST__HTTP_PORT=str(first.port),
        )
        assert done.returncode == 1
        assert f"Port {first.port}" in done.stderr
        assert "http_port" in done.stderr
        assert first.get("/ready")[0] == 200
