"""The relay on a real Mosquitto: what a node says is acknowledged when it is kept, and the city's words come back."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from qytet.embedded.ports import free_port
from qytet_contract import notices, records, strictjson, topics
from qytet_edge.desk import Account, Desk
from qytet_edge.inbox.kinds import Context
from qytet_edge.inbox.relay import Config, Nodes, create, probe
from qytet_edge.inbox.relay.local import LocalBroker
from qytet_edge.spool import Limits, Spool
from qytet_edge.uplink import Address
from tests.core.mqtt_client import Client
from tests.edge.memory_sink import MemorySink
from tests.servers.mosquitto import MosquittoServer

CITY, GATEWAY, NODE, BOOT = "tirana", "tirana-gw-01", "tirana-air-01", "9f3a01c2"
T = 1789000000000


@pytest.fixture
def broker(private_mosquitto: MosquittoServer, tmp_path: Path) -> MosquittoServer:
    """The local broker; the gateway's user is `ingest`, which may read and write all."""
    (tmp_path / "password").write_text(private_mosquitto.password("ingest") + "\n")
    return private_mosquitto


def config(broker: MosquittoServer, **more: Any) -> Config:
    settings = {
        "kind": "nodes",
        "name": "street",
        "url": f"mqtt://127.0.0.1:{broker.port}",
        "user": "ingest",
        "password_file": "password",
        "devices": ["tirana-*"],
    }
    return Config.model_validate(settings | more)


def context(folder: Path, marks: dict[tuple[str, str], int] | None = None) -> Context:
    async def mark(device: str, boot: str) -> int:
        return (marks or {}).get((device, boot), 0)

    return Context(CITY, GATEWAY, folder, folder, mark=mark)


@asynccontextmanager
async def running(nodes: Nodes, sink: MemorySink) -> AsyncIterator[None]:
    """The source at work, connected."""
    task = asyncio.create_task(nodes.run(sink))
    try:
        beats = sink.beats
        await sink.until(lambda: sink.beats > beats)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def topic(kind: str, device: str = NODE, ident: str = "") -> str:
    return topics.topic(CITY, device, kind, ident=ident)


def obs(seq: int) -> bytes:
    return msgspec.json.encode(records.obs(BOOT, seq, T + seq, seq, "ntp", {"pm2_5": seq / 2}))


def say(client: Client, *messages: tuple[str, bytes], retain: bool = False) -> None:
    """Publish and wait for the broker's PUBACKs."""
    for sent in [client.mqtt.publish(name, payload, 1, retain) for name, payload in messages]:
        sent.wait_for_publish(60)


def heard_by(client: Client, count: int) -> list[tuple[str, Any]]:
    return [(name, msgspec.json.decode(payload)) for name, payload in client.wait_for(count)]


def run(work: Callable[[], Any]) -> None:
    asyncio.run(work())


def test_a_message_is_acknowledged_only_when_it_is_kept(broker: MosquittoServer, tmp_path: Path) -> None:
    """A gateway that dies between taking a message and keeping it gets that message again; kept ones do not return."""

    async def work() -> None:
        sink, nodes = MemorySink(), create(config(broker), context(tmp_path))
        with Client(broker, "simulator", "node") as node:
            async with running(nodes, sink):
                say(node, (topic("obs"), obs(1)))
                await sink.until(lambda: len(sink.relayed) == 1)
                sink.room.clear()
                say(node, *[(topic("obs"), obs(seq)) for seq in (2, 3)])
                await sink.until(lambda: sink.waiting > 0)
            assert [record.seq for record in sink.relayed] == [1]
            sink.room.set()
            say(node, (topic("obs"), obs(4)))  # while nobody listens: the session keeps it
            async with running(nodes, sink):
                await sink.until(lambda: len(sink.relayed) >= 4)
        assert sorted(record.seq for record in sink.relayed) == [1, 2, 3, 4]
        assert sink.relayed[0] == (NODE, BOOT, 1, T + 1, 1, "ntp", b'{"pm2_5":0.5}', None)

    run(work)


def test_everything_a_node_says_goes_on(broker: MosquittoServer, tmp_path: Path) -> None:
    """Birth, state, log and answers go on as notices, and what cannot be read as it came, once, with its number."""

    async def work() -> None:
        sink, nodes = MemorySink(), create(config(broker), context(tmp_path))
        birth = msgspec.json.encode(notices.birth(BOOT, 1, "0.1.0", "esp32", [["pm2_5", "ug/m3"]]))
        state = msgspec.json.encode(notices.state(BOOT, "ready"))
        with Client(broker, "simulator", "node") as node:
            say(node, (topic("birth"), birth), (topic("state"), state), retain=True)
            async with running(nodes, sink):
                say(node, (topic("log"), b"l"), (topic("ack", ident="42"), b"a"), (topic("obs"), b"{broken"))
                say(node, (topic("obs"), b"{broken"), (topic("obs"), obs(1)))
                await sink.until(lambda: len(sink.relayed) == 1)
        assert {(notice.kind, notice.payload, notice.retain) for notice in sink.notices} == {
            ("birth", birth, True),
            ("state", state, True),
            ("log", b"l", False),
            ("ack/42", b"a", False),
            ("obs", b"{broken", False),
        }
        assert len(sink.notices) == 5
        assert [device for device, _ in sink.troubles] == [NODE, NODE]

    run(work)


def test_marks_and_commands_find_their_node(broker: MosquittoServer, tmp_path: Path) -> None:
    """The city's marks and commands arrive on the node's own topics, commands also after a while without a broker."""

    async def work() -> None:
        sink, nodes = MemorySink(), create(config(broker), context(tmp_path))
        command = b'{"v":1,"cmd":"reboot","exp":1789000000000,"args":{}}'
        with Client(broker, "simulator", "node") as node:
            assert node.subscribe(topic("stored"))
            assert node.subscribe(topic("cmd", ident="+"))
            await nodes.command(NODE, "42", command)
            await nodes.command("durres-air-01", "43", command)  # not behind this gateway
            async with running(nodes, sink):
                await nodes.stored(NODE, BOOT, 17)
                await nodes.stored("durres-air-01", BOOT, 17)
                heard = await asyncio.to_thread(heard_by, node, 2)
        assert sorted(heard) == [
            (topic("cmd", ident="42"), msgspec.json.decode(command)),
            (topic("stored"), notices.stored(BOOT, 17)),
        ]

    run(work)


def test_a_node_that_repeats_marked_records_is_answered_at_once(
    broker: MosquittoServer, tmp_path: Path
) -> None:
    """What the spool knows to be stored is said again without the city; what it does not know is not."""

    async def work() -> None:
        marks = {(NODE, BOOT): 2}
        sink, nodes = MemorySink(), create(config(broker), context(tmp_path, marks))
        with Client(broker, "simulator", "node") as node:
            assert node.subscribe(topic("stored"))
            async with running(nodes, sink):
                say(node, (topic("obs"), obs(3)))
                await sink.until(lambda: len(sink.relayed) == 1)
                say(node, (topic("obs"), obs(2)))
                heard = await asyncio.to_thread(heard_by, node, 1)
        assert heard == [(topic("stored"), notices.stored(BOOT, 2))]

    run(work)


def test_only_named_nodes_are_relayed(broker: MosquittoServer, tmp_path: Path) -> None:
    """A stranger's records are not kept nor answered, which is told; nobody can speak as the gateway itself."""

    async def work() -> None:
        sink, nodes = MemorySink(), create(config(broker), context(tmp_path))
        with Client(broker, "simulator", "node") as node:
            async with running(nodes, sink):
                strangers = [(topic("obs", device), obs(1)) for device in ("durres-air-01", GATEWAY)]
                say(node, *strangers, (topic("obs"), obs(1)))
                await sink.until(lambda: len(sink.relayed) == 1)
        assert sink.relayed[0].device == NODE
        assert sink.notices == []
        assert ["durres-air-01" in what or GATEWAY in what for _, what in sink.troubles] == [True, True]

    run(work)


def test_a_monstrous_message_stops_nobody(broker: MosquittoServer, tmp_path: Path) -> None:
    """Of a message longer than any that the city reads its beginning goes on, and the next record is kept."""

    async def work() -> None:
        nodes = create(config(broker), context(tmp_path))
        async with running(nodes, MemorySink()):
            pass  # the session stands from now on
        with Client(broker, "simulator", "node") as node:
            say(node, (topic("log"), b"x" * 1_500_000), (topic("obs"), obs(1)))
        async with Spool(tmp_path / "spool.db", Limits(spare_bytes=0)) as kept:
            task = asyncio.create_task(nodes.run(Desk(Account("street"), kept)))
            came = asyncio.create_task(kept.fresh.wait())
            await asyncio.wait({task, came}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
            assert came.done(), task
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            [(_number, notice)] = await kept.notices(9)
            assert notice.payload == b"x" * (strictjson.MAX_BYTES + 1), (
                "one more than the city's bound: it says why"
            )

    run(work)


def test_what_was_not_kept_goes_on_when_it_comes_again(broker: MosquittoServer, tmp_path: Path) -> None:
    """A message that cannot be read counts as passed on only when it is kept: a run that dies before loses nothing."""

    async def work() -> None:
        sink, nodes = MemorySink(), create(config(broker), context(tmp_path))
        with Client(broker, "simulator", "node") as node:
            sink.room.clear()
            async with running(nodes, sink):
                say(node, (topic("obs"), b"{broken"))
                await sink.until(lambda: sink.waiting > 0)
            assert not sink.notices
            sink.room.set()
            async with running(nodes, sink):
                await sink.until(lambda: bool(sink.notices))

    run(work)


def test_a_broker_that_dies_is_met_again(broker: MosquittoServer, tmp_path: Path) -> None:
    """After the local broker's death the relay connects again by itself and goes on; the outage is told."""

    async def work() -> None:
        sink, nodes = MemorySink(), create(config(broker), context(tmp_path))
        async with running(nodes, sink):
            broker.kill()
            await sink.until(lambda: bool(sink.troubles))
            await asyncio.to_thread(broker.start)
            await sink.until(lambda: len(sink.troubles) >= 1 and nodes.connected)
            with Client(broker, "simulator", "node") as node:
                say(node, (topic("obs"), obs(1)))
                await sink.until(lambda: len(sink.relayed) == 1)
        assert "ended" in sink.troubles[0][1]

    run(work)


def test_a_goodbye_that_comes_late_meets_a_line_that_has_ended() -> None:
    """The timer that cuts a broker which takes no goodbye may find the connection gone: that is no error."""

    async def work() -> None:
        made = LocalBroker(Address("127.0.0.1", 1), "late", [], window=1)
        with socket.socket() as unconnected:
            made._client = SimpleNamespace(socket=lambda: unconnected)  # type: ignore[assignment]
            made._sever()

    run(work)


def test_what_a_node_has_lost_is_told_to_the_spool(broker: MosquittoServer, tmp_path: Path) -> None:
    """The lowest number that a node holds reaches the spool by births and empty backfills; the city hears neither."""

    async def work() -> None:
        sink, nodes = MemorySink(), create(config(broker), context(tmp_path))
        birth = msgspec.json.encode(notices.birth(BOOT, 7, "0.1.0", "esp32", [["pm2_5", "ug/m3"]]))
        with Client(broker, "simulator", "node") as node:
            async with running(nodes, sink):
                say(
                    node,
                    (topic("birth"), birth),
                    (topic("hist"), msgspec.json.encode(records.hist(BOOT, 9, []))),
                )
                await sink.until(lambda: len(sink.held) == 2 and len(sink.notices) == 1)
        assert sorted(sink.held) == [(NODE, BOOT, 7), (NODE, BOOT, 9)]
        assert msgspec.json.decode(sink.notices[0].payload)["lo"] == 1

    run(work)


def test_records_are_kept_in_few_commits(broker: MosquittoServer, tmp_path: Path) -> None:
    """A thousand records that came while the gateway was away arrive whole, in order, in batches."""

    async def work() -> None:
        sink, nodes = MemorySink(), create(config(broker), context(tmp_path))
        async with running(nodes, sink):
            pass  # the session stands from now on
        with Client(broker, "simulator", "node") as node:
            say(node, *[(topic("obs"), obs(seq)) for seq in range(1, 1001)])
        async with running(nodes, sink):
            await sink.until(lambda: len(sink.relayed) == 1000)
        assert [record.seq for record in sink.relayed] == list(range(1, 1001))

    run(work)


def test_doctor_says_what_is_wrong_with_the_local_broker(
    broker: MosquittoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is well, one that refuses us, and none at all are told apart, each with what to do."""
    monkeypatch.setattr("qytet_edge.inbox.relay.PROBE_S", 60.0)  # each of them answers at once, or soon
    good = asyncio.run(probe(config(broker), context(tmp_path)))
    assert [finding.state for finding in good] == ["ok"]
    (tmp_path / "wrong").write_text("wrong\n")
    absent = {"url": f"mqtt://127.0.0.1:{free_port()}"}
    for change, words in (
        ({"password_file": "wrong"}, "refuses us"),
        (absent, "does not answer"),
        ({"password_file": "nowhere"}, "cannot be read"),
    ):
        found = asyncio.run(probe(config(broker, **change), context(tmp_path)))
        assert [finding.state for finding in found] == ["problem"]
        assert words in found[0].what
        assert found[0].do


def test_secrets_and_strange_schemes_do_not_belong_into_the_url(broker: MosquittoServer) -> None:
    """A password in the URL, and a scheme that is not MQTT's, are refused when the configuration is read."""
    for url in ("mqtt://a:b@127.0.0.1", "http://127.0.0.1"):
        with pytest.raises(ValueError, match="url"):
            config(broker, url=url)


def test_nobody_speaks_for_an_instrument_of_ours(broker: MosquittoServer, tmp_path: Path) -> None:
    """A name that a pattern would take, but that the gateway reads itself, is not relayed, marked or commanded."""
    known = context(tmp_path)
    nodes = create(config(broker), known)
    assert nodes.serves(NODE)
    known.instruments.add(NODE)
    assert not nodes.serves(NODE)
    assert not nodes.serves(GATEWAY)
