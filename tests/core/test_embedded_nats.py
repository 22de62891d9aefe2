"""The embedded broker keeps what it acknowledged through a crash, and lets each user do what it may."""

import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.core.embedded_helpers import crash, first_line, is_gone, open_folder, parent_of
from tests.core.mqtt_client import PATIENCE_S, Client

from qytet.embedded import AlreadyRunningError, DataFolderError, EmbeddedNats, PortTakenError
from qytet.embedded._mqtt_probe import mqtt_answers

pytestmark = pytest.mark.servers
_answers = partial(mqtt_answers, timeout=PATIENCE_S)
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
    assert _answers("127.0.0.1", broker.port, "ingest", broker.password("ingest"))
    assert not _answers("127.0.0.1", broker.port, "ingest", "wrong")
    assert not _answers("127.0.0.1", broker.port, "stranger", "wrong")
    for name in ("users.json", "nats.conf"):
        assert (broker.data_dir / name).stat().st_mode & 0o077 == 0


def test_thirteen_subscriptions_fit_a_session(broker: EmbeddedNats) -> None:
    """The window of unacknowledged messages leaves room for the thirteen subscriptions that are promised."""
    with Client(broker, "ingest", "many") as ingest:
        granted = [ingest.subscribe(f"qytet/v1/tirana/+/kind{number}") for number in range(14)]
    assert granted == [True] * 13 + [False]


def test_a_second_instance_is_refused(broker: EmbeddedNats) -> None:
    """A second broker on the folder is told who holds it; the first one runs on."""
    with pytest.raises(AlreadyRunningError) as caught:
        EmbeddedNats(broker.data_dir).start()
    assert caught.value.pid == os.getpid()
    assert _answers("127.0.0.1", broker.port, "ingest", broker.password("ingest"))


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
    assert is_gone(pid, within=60)
    server = EmbeddedNats(folder)
    with server:
        assert _answers("127.0.0.1", server.port, "ingest", server.password("ingest"))
    server.remove()
