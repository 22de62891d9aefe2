"""The embedded broker keeps what it acknowledged through a crash, and lets each user do what it may."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode
from tests.core.embedded_helpers import crash, first_line, is_gone, open_folder, parent_of

from qytet.embedded import AlreadyRunningError, DataFolderError, EmbeddedNats, PortTakenError
from qytet.embedded._mqtt_probe import mqtt_answers

pytestmark = pytest.mark.servers
OBS = "qytet/v1/tirana/node/obs"


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def broker(home: Path) -> Iterator[EmbeddedNats]:
    with EmbeddedNats(home / "my broker", ack_wait=1) as server:
        yield server
    server.remove()


class Client:
    """A connected client that collects what arrives; connect, subscribe and publish wait for their answers."""

    def __init__(self, broker: EmbeddedNats, user: str, name: str, *, clean: bool = True) -> None:
        self.received: list[tuple[str, bytes]] = []
        self._expected = 0
        self._answer = threading.Event()
        self._arrived = threading.Event()
        self._codes: list[ReasonCode] = []
        self.mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean)
        self.mqtt.username_pw_set(user, broker.password(user))
        self.mqtt.max_inflight_messages_set(1000)
        self.mqtt.on_connect = lambda *_: self._answer.set()
        self.mqtt.on_subscribe = self._on_subscribe
        self.mqtt.on_message = self._on_message
        self.mqtt.connect("127.0.0.1", broker.port)
        self.mqtt.loop_start()
        assert self._answer.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def subscribe(self, topic: str) -> bool:
        """Whether the broker granted it."""
        self._answer.clear()
        self.mqtt.subscribe(topic, 1)
        assert self._answer.wait(10)
        return not self._codes[-1].is_failure

    def publish(self, topic: str, count: int = 1) -> None:
        sent = [self.mqtt.publish(topic, str(number), 1) for number in range(count)]
        for one in sent:
            one.wait_for_publish(20)
            assert one.is_published()

    def wait_for(self, count: int) -> list[tuple[str, bytes]]:
        self._expected = count
        if len(self.received) < count:
            self._arrived.wait(20)
        return self.received

    def _on_subscribe(self, _c: object, _u: object, _m: object, codes: list[ReasonCode], _p: object) -> None:
        self._codes = codes
        self._answer.set()

    def _on_message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        self.received.append((message.topic, bytes(message.payload)))
        if self._expected and len(self.received) >= self._expected:
            self._arrived.set()


@pytest.mark.parametrize("how", ["kill", "crash", "stop"])
def test_acknowledged_messages_survive(broker: EmbeddedNats, how: str) -> None:
    """What a sleeping subscriber had coming, and the broker had acknowledged, arrives after any end of it."""
    topic = f"qytet/v1/tirana/{how}/obs"
    with Client(broker, "ingest", f"ingest-{how}", clean=False) as ingest:
        assert ingest.subscribe(topic)
    with Client(broker, "simulator", f"device-{how}") as device:
        device.publish(topic, 2000)
    port = broker.port
    if how == "crash":
        crash(broker)
    else:
        getattr(broker, how)()
    broker.start()
    assert broker.port == port
    with Client(broker, "ingest", f"ingest-{how}", clean=False) as ingest:
        payloads = [int(payload) for _, payload in ingest.wait_for(2000)]
    assert sorted(set(payloads)) == list(range(2000))


def test_users_may_do_their_own_part_only(broker: EmbeddedNats) -> None:
    """A simulator says what a device says: it cannot forge a stored mark, nor listen to everything."""
    with (
        Client(broker, "ingest", "acl-ingest") as ingest,
        Client(broker, "simulator", "acl-device") as device,
    ):
        assert ingest.subscribe("qytet/v1/tirana/#")
        assert device.subscribe("qytet/v1/tirana/node/stored")
        assert not device.subscribe("#")
        device.publish("qytet/v1/tirana/node/stored")
        device.publish(OBS)
        assert ingest.wait_for(1) == [(OBS, b"0")]
        ingest.publish("qytet/v1/tirana/node/stored")
        assert device.wait_for(1) == [("qytet/v1/tirana/node/stored", b"0")]


def test_a_wrong_password_is_refused(broker: EmbeddedNats) -> None:
    """Nobody enters without the password, which only the owner of the folder can read."""
    assert mqtt_answers("127.0.0.1", broker.port, "ingest", broker.password("ingest"))
    assert not mqtt_answers("127.0.0.1", broker.port, "ingest", "wrong")
    assert not mqtt_answers("127.0.0.1", broker.port, "stranger", "wrong")
    for name in ("users.json", "nats.conf"):
        assert (broker.data_dir / name).stat().st_mode & 0o077 == 0


def test_eight_subscriptions_fit_a_session(broker: EmbeddedNats) -> None:
    """The window of unacknowledged messages leaves room for the eight subscriptions that are promised."""
    with Client(broker, "ingest", "many") as ingest:
        granted = [ingest.subscribe(f"qytet/v1/tirana/+/kind{number}") for number in range(9)]
    assert granted == [True] * 8 + [False]


def test_a_second_instance_is_refused(broker: EmbeddedNats) -> None:
    """A second broker on the folder is told who holds it; the first one runs on."""
    with pytest.raises(AlreadyRunningError) as caught:
        EmbeddedNats(broker.data_dir).start()
    assert caught.value.pid == os.getpid()
    assert mqtt_answers("127.0.0.1", broker.port, "ingest", broker.password("ingest"))


def test_a_taken_port(home: Path) -> None:
    """A port that was asked for and is taken is an error that names it."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        server = EmbeddedNats(home / "taken", port)
        with pytest.raises(PortTakenError) as caught:
            server.start()
        assert caught.value.port == port
        server.remove()


def test_a_foreign_folder_is_left_alone(home: Path) -> None:
    """A folder with somebody else's files is refused and not touched."""
    foreign = home / "foreign"
    foreign.mkdir()
    (foreign / "letter").write_text("dear")
    with pytest.raises(DataFolderError, match="letter"):
        EmbeddedNats(foreign).start()
    with pytest.raises(DataFolderError, match="letter"):
        EmbeddedNats(foreign).remove()
    assert (foreign / "letter").read_text() == "dear"


def test_the_broker_dies_with_its_parent(home: Path) -> None:
    """When the process that started it is SIGKILLed, the broker ends and its folder is free."""
    folder = home / "orphan"
    with parent_of("nats", folder) as process:
        pid = int(first_line(process))
        process.kill()
    assert is_gone(pid, within=20)
    server = EmbeddedNats(folder)
    with server:
        assert mqtt_answers("127.0.0.1", server.port, "ingest", server.password("ingest"))
    server.remove()
