"""The Mosquitto of the tests behaves as the one in production: sessions persist, users stay below their names."""

import socket
import ssl

import pytest
from tests.core.mqtt_client import Client
from tests.servers.mosquitto import MosquittoServer

from qytet.embedded._mqtt_probe import mqtt_answers

pytestmark = pytest.mark.servers


def test_passwords_and_new_devices(mosquitto_server: MosquittoServer) -> None:
    """A device that is added enters with its password at once; a wrong password and a stranger do not."""
    mosquitto_server.add_users(["node-a"])
    port, password = mosquitto_server.port, mosquitto_server.password("node-a")
    mosquitto_server.wait_for_user("node-a")
    assert mqtt_answers("127.0.0.1", port, "node-a", password)
    assert not mqtt_answers("127.0.0.1", port, "node-a", "wrong")
    assert not mqtt_answers("127.0.0.1", port, "stranger", password)


def test_a_device_stays_below_its_own_name(mosquitto_server: MosquittoServer) -> None:
    """A device's message below another's name, and a simulator's forged stored mark, reach nobody."""
    mosquitto_server.add_users(["node-b"])
    mosquitto_server.wait_for_user("node-b")
    with (
        Client(mosquitto_server, "ingest", "acl-ingest") as ingest,
        Client(mosquitto_server, "node-b", "acl-node") as node,
        Client(mosquitto_server, "simulator", "acl-simulator") as simulator,
    ):
        assert ingest.subscribe("qytet/v1/korce/#")
        node.publish("qytet/v1/korce/node-c/obs")
        simulator.publish("qytet/v1/korce/node-b/stored")
        simulator.publish("qytet/v1/korce/node-c/obs")
        node.publish("qytet/v1/korce/node-b/obs", 2)
        topics = sorted(topic for topic, _ in ingest.wait_for(3))
    assert topics == ["qytet/v1/korce/node-b/obs"] * 2 + ["qytet/v1/korce/node-c/obs"]


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
    assert mqtt_answers("127.0.0.1", port, "ingest", private_mosquitto.password("ingest"))


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
