"""The Mosquitto of the tests behaves as the one in production: sessions persist, users stay below their names."""

import socket
import ssl
from functools import partial

import pytest
from tests.core.mqtt_client import PATIENCE_S, Client
from tests.servers.mosquitto import MosquittoServer

from qytet.embedded._mqtt_probe import mqtt_answers

pytestmark = pytest.mark.servers
_answers = partial(mqtt_answers, timeout=PATIENCE_S)


def test_passwords_and_new_devices(mosquitto_server: MosquittoServer) -> None:
    """A device that is added enters with its password at once; a wrong password and a stranger do not."""
    mosquitto_server.add_users(["node-a"])
    port, password = mosquitto_server.port, mosquitto_server.password("node-a")
    mosquitto_server.wait_for_user("node-a")
    assert _answers("127.0.0.1", port, "node-a", password)
    assert not _answers("127.0.0.1", port, "node-a", "wrong")
    assert not _answers("127.0.0.1", port, "stranger", password)


@pytest.mark.parametrize(
    ("user", "topic"),
    [("node-b", "qytet/v1/korce/node-c/obs"), ("simulator", "qytet/v1/korce/node-c/stored")],
)
def test_a_user_stays_within_its_part(mosquitto_server: MosquittoServer, user: str, topic: str) -> None:
    """A device below another's name, and a simulator that forges a stored mark, are dropped and not heard."""
    mosquitto_server.add_users(["node-b"])
    mosquitto_server.wait_for_user("node-b")
    own = "qytet/v1/korce/node-b/obs"
    with Client(mosquitto_server, "ingest", f"acl-ingest-{user}") as ingest:
        assert ingest.subscribe("qytet/v1/korce/#")
        with Client(mosquitto_server, user, f"acl-denied-{user}") as denied:
            assert denied.publish_and_be_dropped(topic)
        with Client(mosquitto_server, user, f"acl-allowed-{user}") as allowed:
            allowed.publish(own)
        assert ingest.wait_for(1) == [(own, b"0")]


def test_nothing_queued_is_limited_or_lost_by_a_stop(private_mosquitto: MosquittoServer) -> None:
    """What a sleeping subscriber had coming, beyond the default limit of 1,000, outlives an orderly stop."""
    topic = "qytet/v1/durres/node/obs"
    with Client(private_mosquitto, "ingest", "sleeper", clean=False) as ingest:
        assert ingest.subscribe(topic)
    with Client(private_mosquitto, "simulator", "device") as device:
        device.publish(topic, 3000)
    private_mosquitto.stop()
    private_mosquitto.start()
    with Client(private_mosquitto, "ingest", "sleeper", clean=False) as ingest:
        assert len(ingest.wait_for(3000)) == 3000


def test_it_starts_again_after_a_kill(private_mosquitto: MosquittoServer) -> None:
    """After SIGKILL the broker starts on the same port and knows its users."""
    port, before = private_mosquitto.port, private_mosquitto.pid
    private_mosquitto.kill()
    assert private_mosquitto.pid is None
    private_mosquitto.start()
    assert private_mosquitto.pid != before
    assert _answers("127.0.0.1", port, "ingest", private_mosquitto.password("ingest"))


def test_tls(mosquitto_tls: MosquittoServer) -> None:
    """The TLS listener shows a certificate of the test's authority; another authority's client refuses it."""
    assert mosquitto_tls.tls_port is not None
    trusting = ssl.create_default_context(cafile=str(mosquitto_tls.ca_file))
    with (
        socket.create_connection(("127.0.0.1", mosquitto_tls.tls_port)) as plain,
        trusting.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.version() in ("TLSv1.2", "TLSv1.3")
    with (
        socket.create_connection(("127.0.0.1", mosquitto_tls.tls_port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
