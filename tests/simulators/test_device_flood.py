"""The fast publisher: its packets, its account, and that it loses nothing when the broker goes away."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qytet.db.registry import parse
from qytet.embedded import EmbeddedNats
from qytet.errors import InputError, ServerError
from qytet_contract import records, strictjson, topics
from qytet_simulators.device import Address, wire
from qytet_simulators.device.flood import Pace, flood, prepare
from qytet_simulators.device.load import Load
from qytet_simulators.device.raw import RawLink
from tests.servers.mosquitto import MosquittoServer
from tests.simulators.device_server import MarkServer


@given(st.binary(max_size=40_000), st.integers(1, 65_535), st.integers(1, 65_535), st.data())
def test_packets_survive_any_cutting(payload: bytes, first: int, second: int, data: st.DataObject) -> None:
    """A PUBLISH read back in pieces of any size is the one written, under the id that it was given last."""
    stream = wire.with_id(wire.publish(b"qytet/v1/a/b/obs", payload, first), second) + wire.puback(7)
    splitter, found = wire.Splitter(), []
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, max(1, len(stream))))
        found += list(splitter.feed(stream[at : at + size]))
        at += size
    assert [packet.kind for packet in found] == [wire.PUBLISH, wire.PUBACK]
    assert wire.message(found[0]) == ("qytet/v1/a/b/obs", payload, second)
    assert splitter.empty


@pytest.mark.parametrize(
    ("readings", "batch", "devices", "connections"), [(1, 1, 7, 3), (6, 1, 3, 1), (30, 1, 5, 2), (6, 5, 4, 3)]
)
def test_load_is_valid_unique_and_rising(readings: int, batch: int, devices: int, connections: int) -> None:
    """Each message keeps the contract; device and seq are unique and complete; times rise; none lies ahead."""
    load = Load(60, devices, readings, batch, run="check")
    last: dict[str, tuple[int, int]] = {}
    for part in prepare(load, connections):
        for packet in part.packets:
            (incoming,) = wire.Splitter().feed(packet)
            topic, payload, _id = wire.message(incoming)
            parsed = topics.parse(topic)
            assert parsed is not None
            device, kind = parsed[1], parsed[2]
            value = strictjson.loads(payload)
            assert isinstance(value, dict)
            if kind == topics.OBS:
                records.check_obs(value)
                rows = [[value["seq"], value["t"], value["up"], value["tq"], value["m"]]]
            else:
                assert records.check_hist(value) == []
                rows = value["r"]
            for seq, t, _up, _tq, m in rows:
                before = last.get(device, (0, 0))
                assert seq == before[0] + 1
                assert before[1] < t < time.time() * 1000
                assert len(m) == readings
                last[device] = (seq, t)
    assert sum(seq for seq, _ in last.values()) == load.messages * batch >= 60
    assert {load.names[n]: load.sent_by(n) for n in range(devices)} == {
        name: seq for name, (seq, _) in last.items()
    }


def test_load_can_be_registered() -> None:
    """The registry accepts the description of a load's devices, with all their datastreams."""
    found = parse(json.dumps(Load(10, 3, 30).description()).encode())
    assert [device.device for device in found.devices] == ["flood-00000", "flood-00001", "flood-00002"]
    assert len(set(found.devices[0].datastreams)) == 30


@pytest.mark.parametrize(
    "wrong", [{"records": 0}, {"devices": 0}, {"readings": 65}, {"readings": 0}, {"batch": 1001}]
)
def test_impossible_load_is_refused(wrong: dict[str, int]) -> None:
    """A load that the contract does not allow is refused before anything is encoded."""
    with pytest.raises(InputError):
        Load(**({"records": 1} | wrong))


@pytest.mark.servers
@pytest.mark.parametrize("connections", [1, 3])
def test_flood_is_delivered_once(mosquitto_server: MosquittoServer, connections: int) -> None:
    """Without trouble every record arrives exactly once, and the account adds up."""
    load = Load(3000, 10, 2, run=f"once{connections}", prefix=f"once{connections}")
    with MarkServer(mosquitto_server.url("ingest"), marking=False) as server:
        result = flood(
            prepare(load, connections), Address.parse(mosquitto_server.url("simulator")), Pace(window=100)
        )
        server.wait_for(lambda: len(server.seen) == 3000)
        assert set(server.seen.values()) == {1}
    assert (result.acked, result.sent, result.resent, result.unacked) == (3000, 3000, 0, 0)
    assert result.unmarked == 3000
    assert result.readings == 6000


@pytest.mark.servers
def test_flood_resends_until_marked(nats_server: EmbeddedNats) -> None:
    """With marks, what the server forgot is sent again until everything is accounted for."""
    load = Load(1000, 10, 1, batch=5, run="marked", prefix="marked")
    with MarkServer(
        nats_server.url("ingest"), lose=lambda key, times: times == 1 and key[2] % 4 == 0
    ) as server:
        result = flood(
            prepare(load, 2),
            Address.parse(nats_server.url("simulator")),
            Pace(marks=True, resend_after=0.5, deadline_s=30),
        )
        assert all(len(server.stored[key]) == 100 for key in zip(load.names, load.boots, strict=True))
    assert result.unmarked == 0
    assert result.resent > 0
    assert result.marked_s is not None


@pytest.mark.servers
def test_flood_outlives_the_broker(private_nats: EmbeddedNats, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is killed twice in mid-flood: the flood reconnects and every message is acknowledged at last."""
    load = Load(20_000, 20, 1, run="killed", prefix="killed")
    address = Address.parse(private_nats.url("simulator"))
    links: list[RawLink] = []

    def made(*given: Any) -> RawLink:
        links.append(RawLink(*given))
        return links[-1]

    monkeypatch.setattr("qytet_simulators.device.flood.RawLink", made)
    kills, alive, dead = [4_000, 12_000], threading.Event(), threading.Semaphore(0)
    alive.set()

    def in_the_middle() -> bool:
        """Looked at between two turns of the flood; never a reason to stop."""
        if kills and sum(link.acked for link in links) >= kills[0]:
            assert alive.wait(60)
            alive.clear()
            kills.pop(0)
            private_nats.kill()
            dead.release()
        return False

    with ThreadPoolExecutor(1) as pool:
        pace = Pace(window=200, rate=8000, deadline_s=120)
        flooded = pool.submit(flood, prepare(load, 2), address, pace, in_the_middle)
        for _ in range(2):
            assert dead.acquire(timeout=60)
            private_nats.start()
            alive.set()
        result = flooded.result()
    assert (result.acked, result.unacked) == (20_000, 0)
    assert result.connects >= 5  # each that had something to send came back


@pytest.mark.servers
def test_rate_is_kept(mosquitto_server: MosquittoServer) -> None:
    """A flood at a rate takes its time."""
    load = Load(500, 5, 1, run="rate", prefix="rate")
    result = flood(prepare(load, 2), Address.parse(mosquitto_server.url("simulator")), Pace(rate=500))
    assert 0.8 < result.seconds < 60


def test_flood_without_a_broker_says_so() -> None:
    """Where nobody listens, the flood ends at once with the reason."""
    with pytest.raises(ServerError, match="cannot reach"):
        flood(prepare(Load(10, 1), 1), Address("127.0.0.1", 1), Pace())
