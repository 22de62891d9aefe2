"""The receiving side beside a broker that misbehaves on purpose: memory bounded, reconnected, acknowledged rightly."""

import signal
import struct
import subprocess
import sys
import threading
import time

import pytest

from qytet.embedded.ports import free_port
from qytet.errors import SettingsError
from qytet_contract import topics
from qytet_ingest import mqtt_source as module
from qytet_ingest.mqtt_source import MqttSource, Options
from tests.ingest.fake_broker import CONNACK, PATIENCE_S, FakeBroker, publish, suback
from tests.ingest.waiting import eventually

CONNECT, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 4, 8, 12, 14


class Clock:
    """Time that passes when the test says so: a machine that stands still makes no broker silent."""

    def __init__(self):
        self.now, self.sleep = 1000.0, time.sleep
        self.spoke = self.heard = 0

    def monotonic(self):
        return self.now

    def pass_until_a_ping(self, peer):
        """Half a keepalive of one second passes, and the ping that is due then comes and is noted as sent."""
        spoke, self.now = self.spoke, self.now + 0.5
        peer.expect(PINGREQ)
        eventually(lambda: self.spoke == spoke + 2, "the ping is noted, when due and when sent")

    def watch(self, base):
        """A class of pulses that counts what it is told."""

        class Watched(base):
            def spoke(pulse):  # noqa: N805 - `self` is the clock
                super().spoke()
                self.spoke += 1

            def heard(pulse):  # noqa: N805
                super().heard()
                self.heard += 1

        return Watched


class Pauses(threading.Event):
    """What a source waits on between two connections: the pauses asked for, none of which is made."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def wait(self, timeout=None):
        self.asked.append(timeout)
        return super().wait(0)


@pytest.fixture
def clock(monkeypatch):
    """The receiving side's own clock."""
    mine = Clock()
    monkeypatch.setattr(module, "time", mine)
    monkeypatch.setattr(module, "_Pulse", mine.watch(module._Pulse))
    return mine


@pytest.fixture
def broker():
    with FakeBroker() as fake:
        yield fake


@pytest.fixture
def source_on(broker):
    """Makes started sources; all are stopped at the end."""
    made = []

    def make(**options):
        known = {"client_id": "t", "filters": tuple(topics.ingest_filters()), "keepalive": 60}
        source = MqttSource(Options(url=broker.url, **{**known, **options}))
        source.start()
        made.append(source)
        return source

    yield make
    for source in made:
        source.stop()


def tokens_of(body: bytes) -> int:
    return struct.unpack(">H", body)[0]


def test_it_asks_for_a_persistent_session_and_all_topics(broker, source_on):
    """CONNECT carries name, password and a session that persists; SUBSCRIBE all filters at QoS 1."""
    source = source_on()
    with broker.accept() as peer:
        body = peer.expect(CONNECT)
        assert body.startswith(b"\x00\x04MQTT\x04")
        assert body[7] & 0x02 == 0  # not a clean session
        assert body.endswith(b"\x00\x01t\x00\x06ingest\x00\x06secret")
        assert not source.connected
        peer.send(CONNACK)
        wanted = peer.expect(SUBSCRIBE)
        assert wanted.count(b"\x01qytet") == 0
        for name in topics.ingest_filters():
            assert struct.pack(">H", len(name)) + name.encode() + b"\x01" in wanted
        assert not source.connected
        peer.send(suback())
        eventually(lambda: source.connected, "connected")
        source.stop()
        peer.expect(DISCONNECT)


def test_acknowledgements_go_out_for_what_came_in(broker, source_on):
    """Messages arrive with their tokens, QoS 0 without; the PUBACKs that go out are those that were asked for."""
    source = source_on()
    with broker.accept().greet() as peer:
        peer.send(publish(b"a", b"1", 7) + publish(b"b", b"2", None) + publish(b"c", b"3", 65535))
        chunk = source.receive(PATIENCE_S)
        assert chunk.topics == [b"a", b"b", b"c"]
        assert chunk.payloads == [b"1", b"2", b"3"]
        assert chunk.tokens == [7, None, 65535]
        source.acknowledge(chunk.epoch, [7, 65535])
        assert [tokens_of(peer.expect(PUBACK)) for _ in range(2)] == [7, 65535]
        assert source.receive(0) is None


def test_a_packet_in_many_pieces_is_one_message(broker, source_on):
    """A packet that arrives byte by byte is delivered once, whole."""
    source = source_on()
    with broker.accept().greet() as peer:
        for byte in publish(b"topic", b"x" * 300, 9):
            peer.send(bytes([byte]))
        chunk = source.receive(PATIENCE_S)
        assert (chunk.topics, chunk.payloads, chunk.tokens) == ([b"topic"], [b"x" * 300], [9])


def test_half_a_packet_is_forgotten_with_its_connection(broker, source_on):
    """A connection that breaks within a packet leaves nothing behind that could spoil the next one."""
    source = source_on()
    with broker.accept().greet() as peer:
        peer.send(publish(b"first", b"1", 1) + publish(b"second", b"2", 2)[:-1])
        assert source.receive(PATIENCE_S).topics == [b"first"]
    with broker.accept().greet() as peer:
        peer.send(publish(b"second", b"2", 1))
        chunk = source.receive(PATIENCE_S)
        assert (chunk.topics, chunk.payloads) == ([b"second"], [b"2"])


def test_stale_acknowledgements_are_dropped(broker, source_on):
    """A token of an older connection may mean another message now: it is never sent."""
    source = source_on()
    with broker.accept().greet() as peer:
        peer.send(publish(b"a", b"1", 5))
        old = source.receive(PATIENCE_S)
    with broker.accept().greet() as peer:
        eventually(lambda: source.connected, "connected again")
        peer.send(publish(b"b", b"2", 5) + publish(b"c", b"3", 6))
        new = source.receive(PATIENCE_S)
        assert new.epoch != old.epoch
        source.acknowledge(old.epoch, [5])
        source.acknowledge(new.epoch, [6])
        assert tokens_of(peer.expect(PUBACK)) == 6


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\x20\x02\x00\x04", "wrong user name or password"),
        (b"\x20\x02\x00\x63", "code 99"),
        (b"\x20\x01\x00", "CONNACK of 1 bytes"),
        (b"\x20\x00", "CONNACK of 0 bytes"),
        (b"\x32\x00", "without a topic"),
        (b"\x32\x03\x00\x09a", "shorter than its topic"),
        (b"\x32\x03\x00\x01a", "shorter than its topic"),
        (b"\x30\xff\xff\xff\xff\xff", "more than four bytes"),
        (CONNACK + suback(1, 0x80), "refuses the subscription"),
    ],
)
def test_refusals_and_nonsense_are_told_and_tried_again(broker, source_on, answer, words):
    """Whatever the broker answers, the reason is told and the next connection works."""
    source = source_on()
    with broker.accept() as peer:
        peer.expect(CONNECT)
        peer.send(answer)
        eventually(lambda: words in source.last_error, f"told: {words}, not {source.last_error!r}")
    with broker.accept().greet():
        eventually(lambda: source.connected, "connected after all")
    assert source.receive(0) is None


def test_a_broker_that_refuses_is_not_hammered(broker):
    """Refused again and again, ingest waits longer each time, up to ten seconds."""
    source, longest = MqttSource(Options(url=broker.url, client_id="t", filters=("a",))), [0.1, 0.2, 0.4, 0.8]
    longest += [1.6, 3.2, 6.4, 10, 10]
    source._stopping = pauses = Pauses()
    source.start()
    try:
        for number, most in enumerate(longest):
            with broker.accept() as peer:
                peer.expect(CONNECT)
                peer.send(b"\x20\x02\x00\x05")
                assert peer.closed()
            eventually(lambda number=number: len(pauses.asked) > number, "a pause")
            assert most / 2 <= pauses.asked[number] <= most
    finally:
        source.stop()


def test_memory_is_bounded_and_reading_resumes(broker, source_on):
    """Beyond `queue_bytes` the socket is not read, however much is sent; given room, the rest follows in order."""
    source = source_on(queue_bytes=1_000_000)
    message = publish(b"topic", b"x" * 9_985, 1)
    total = 4_000 * len(message)
    with broker.accept().greet() as peer:
        sent = peer.send_until_blocked(message, total)
        assert sent < total, "the socket was read without end"
        eventually(lambda: source.held_bytes >= 1_000_000, "the window is full")
        assert source.held_bytes < 1_000_000 + (1 << 18)
        before = source.held_bytes
        received, size = 0, 0
        while received < sent // len(message):
            chunk = source.receive(PATIENCE_S)
            assert chunk is not None, f"{received} of {sent // len(message)} messages came"
            received += len(chunk.topics)
            size += chunk.size
            source.release(chunk.size)
        assert size > before
        assert received == sent // len(message)
        assert source.receive(0.1) is None
        assert source.held_bytes == 0


def test_signs_of_life_go_out_while_nothing_is_read(broker, source_on, clock):
    """With no room left (the database is away) pings still go out, and the broker's silence is not held against it."""
    source = source_on(queue_bytes=1, keepalive=1)
    with broker.accept().greet() as peer:
        peer.send(publish(b"a", b"1", 1))
        chunk = source.receive(PATIENCE_S)
        eventually(lambda: clock.spoke == 1, "the subscription is noted as sent")
        for _ in range(6):  # three keepalives; nothing is answered
            clock.pass_until_a_ping(peer)
        assert source.connected
        peer.send(b"\xd0\x00" * 6 + publish(b"b", b"2", 2))
        source.release(chunk.size)
        assert source.receive(PATIENCE_S).topics == [b"b"]
        source.acknowledge(chunk.epoch, [1])
        assert peer.packet() == (PUBACK, b"\x00\x01")
        assert source.reconnects == 0


def test_a_silent_broker_is_given_up(broker, source_on, clock):
    """A broker that answers no ping for one and a half keepalives is connected anew."""
    source = source_on(keepalive=1)
    with broker.accept().greet() as peer:
        eventually(lambda: source.connected, "connected")
        eventually(lambda: (clock.spoke, clock.heard) == (1, 2), "both answers are noted as heard")
        for _ in range(2):
            clock.pass_until_a_ping(peer)
        assert source.reconnects == 0
        clock.now += 0.5
        with broker.accept().greet():
            eventually(lambda: source.reconnects == 1 and source.connected, "connected anew")


def test_acknowledgements_are_sent_however_slow_the_broker_reads(broker, source_on):
    """A broker that does not read for a while gets every PUBACK in the end; marks are given up meanwhile."""
    source = source_on()
    with broker.accept().greet() as peer:
        peer.send(publish(b"a", b"1", 1))
        chunk = source.receive(PATIENCE_S)
        mark = [(b"topic", b"x" * 1_000_000)]
        taken = 0
        while source.publish(mark):
            taken += 1
            assert taken < 1000, "the outbox has no bound"
        source.acknowledge(chunk.epoch, [1])
        kinds = []
        while not kinds or kinds[-1] != PUBACK:
            kinds.append(peer.packet()[0])
        assert kinds.count(3) == taken


def test_nothing_is_sent_without_a_connection(broker, source_on):
    """Before the broker has accepted us, marks are refused, and acknowledgements vanish."""
    source = source_on()
    with broker.accept() as peer:
        peer.expect(CONNECT)
        assert not source.publish([(b"t", b"1")])
        source.acknowledge(0, [1])
        peer.send(CONNACK)
        peer.expect(SUBSCRIBE)


def test_pause_stops_reading_and_still_acknowledges(broker, source_on):
    """Stopping: nothing more is read, what was received is acknowledged, then the connection ends in order."""
    source = source_on()
    with broker.accept().greet() as peer:
        peer.send(publish(b"a", b"1", 1))
        chunk = source.receive(PATIENCE_S)
        source.pause()
        peer.send(publish(b"b", b"2", 2))
        assert source.receive(0.3) is None
        source.acknowledge(chunk.epoch, [1])
        source.stop()
        assert peer.expect(PUBACK) == b"\x00\x01"
        peer.expect(DISCONNECT)


def test_stop_is_quick_while_the_broker_is_away():
    """With nobody listening, stopping does not wait for the next attempt."""
    url = f"mqtt://ingest:secret@127.0.0.1:{free_port()}"
    source = MqttSource(Options(url=url, client_id="t", filters=("a",)))
    source.start()
    eventually(lambda: bool(source.last_error), "an error is told")
    assert "secret" not in source.last_error
    source.stop()
    assert not source._thread.is_alive()


_LISTENS = """
import signal
from qytet_ingest.mqtt_source import MqttSource, Options
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(None))
source = MqttSource(Options(url="mqtt://127.0.0.1:1", client_id="t", filters=("a",)))
print("ready", flush=True)
for number in range(5):
    while len(asked) <= number:
        source.receive(0.1)
    print("heard", flush=True)
"""


def test_who_is_asked_to_stop_while_the_machine_stands_still_hears_it():
    """A signal that comes when a wait is over already ends the wait: ingest stops, though no message comes any more."""
    with subprocess.Popen([sys.executable, "-c", _LISTENS], stdout=subprocess.PIPE, text=True) as child:
        hanging = threading.Timer(PATIENCE_S, child.kill)
        hanging.start()
        try:
            assert child.stdout.readline() == "ready\n"
            for _ in range(5):
                time.sleep(0.05)  # somewhere within a wait
                child.send_signal(signal.SIGSTOP)
                time.sleep(0.15)  # beyond the end of that wait
                child.send_signal(signal.SIGTERM)
                child.send_signal(signal.SIGCONT)
                assert child.stdout.readline() == "heard\n", "the wait has no end"
            assert child.wait(PATIENCE_S) == 0
        finally:
            hanging.cancel()
            child.kill()


@pytest.mark.parametrize(
    "url",
    ["http://host", "mqtt://", "mqtt://host:99999", "mqtt://host:zero", "broker:1883", "mqtt://host:0x1"],
)
def test_an_impossible_url_is_refused(url):
    """What is no broker's address is a settings error that shows no password."""
    with pytest.raises(SettingsError, match="not a broker's address"):
        MqttSource(Options(url=url, client_id="t", filters=()))
