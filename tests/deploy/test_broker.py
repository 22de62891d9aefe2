"""The deployment's broker files in the real Mosquitto: who gets in, and who may say and hear what."""

import contextlib
import os
import signal
import ssl
import subprocess
from pathlib import Path

import pytest

from qytet.broker import BrokerUrl
from qytet.deploy import composition, devices, tls
from qytet.doctor.mqtt import Link, RefusedError
from tests.deploy.conftest import PATIENCE_S, Broker
from tests.fixtures.availability import required
from tests.servers import apt
from tests.servers.cache import cached, quiet

pytestmark = pytest.mark.servers

_OBS = "qytet/v1/tirana/{}/obs"


def _reloaded(broker: Broker) -> None:
    """Signal as `docker compose kill --signal HUP` does; the log line says when it is done."""
    log = broker.child._log
    before = log.read_text().count("Reloading config")
    os.kill(broker.child.pid, signal.SIGHUP)
    broker.child.wait_until(lambda: log.read_text().count("Reloading config") > before, deadline=PATIENCE_S)


def _try_to_publish(speaker: Link, topic: str) -> None:
    """Mosquitto 2.0.11 answers a denied publish with a PUBACK and then closes the connection if it is TLS."""
    with contextlib.suppress(OSError), speaker:
        speaker.publish(topic, b"forged")


def test_a_device_with_its_own_password_is_let_in_and_heard(broker: Broker) -> None:
    """What `qytet deploy credential` prints is all that a device needs; ingest hears it."""
    made = devices.grant(broker.layout.root, "a-device")
    _reloaded(broker)
    with broker.own("ingest") as ingest, broker.link("a-device", made.password) as device:
        ingest.subscribe("qytet/v1/+/+/obs")
        device.publish(_OBS.format("a-device"), b"{}")
        assert ingest.receive() == (_OBS.format("a-device"), b"{}")


def test_a_device_hears_its_stored_mark_and_nobody_elses(broker: Broker) -> None:
    """Ingest's mark reaches the device that it is for; another device that listens gets nothing of it."""
    made = {name: devices.grant(broker.layout.root, name) for name in ("a-device", "b-device")}
    _reloaded(broker)
    with (
        broker.own("ingest") as ingest,
        broker.link("a-device", made["a-device"].password) as mine,
        broker.link("b-device", made["b-device"].password) as other,
    ):
        mine.subscribe("qytet/v1/tirana/+/stored")
        other.subscribe("qytet/v1/tirana/+/stored")
        ingest.publish("qytet/v1/tirana/a-device/stored", b"for a")
        ingest.publish("qytet/v1/tirana/b-device/stored", b"for b")
        assert mine.receive() == ("qytet/v1/tirana/a-device/stored", b"for a")
        assert other.receive() == ("qytet/v1/tirana/b-device/stored", b"for b")


@pytest.mark.parametrize(
    "topic",
    [_OBS.format("b-device"), "qytet/v1/tirana/b-device/stored", "qytet/v1/tirana/x/via/a-device/obs"],
)
def test_a_device_cannot_speak_for_another(broker: Broker, topic: str) -> None:
    """What a device publishes outside its own name reaches nobody."""
    made = devices.grant(broker.layout.root, "a-device")
    _reloaded(broker)
    with broker.own("ingest") as ingest:
        ingest.subscribe("#")
        _try_to_publish(broker.link("a-device", made.password), topic)
        with broker.link("a-device", made.password) as again:
            again.publish(_OBS.format("a-device"), b"allowed")
        assert ingest.receive() == (_OBS.format("a-device"), b"allowed")


def test_ingest_cannot_speak_for_a_device(broker: Broker) -> None:
    """Whoever holds ingest's password still cannot invent a reading."""
    made = devices.grant(broker.layout.root, "a-device")
    _reloaded(broker)
    with broker.link("a-device", made.password) as device:
        device.subscribe("qytet/v1/tirana/a-device/#")
        _try_to_publish(broker.own("ingest"), _OBS.format("a-device"))
        with broker.own("ingest") as again:
            again.publish("qytet/v1/tirana/a-device/stored", b"mark")
        assert device.receive() == ("qytet/v1/tirana/a-device/stored", b"mark")


@pytest.mark.parametrize(("user", "password"), [("ingest", "guess"), ("nobody", "x"), ("", "")])
def test_who_has_no_password_is_refused(broker: Broker, user: str, password: str) -> None:
    """A wrong password, an unknown user and an anonymous client are refused."""
    with pytest.raises(RefusedError, match="password"):
        broker.link(user, password)


def test_a_revoked_device_is_refused(broker: Broker) -> None:
    """After `revoke` and a reload the device's password no longer opens the door."""
    made = devices.grant(broker.layout.root, "a-device")
    _reloaded(broker)
    broker.link("a-device", made.password).__exit__(None, None, None)
    devices.revoke(broker.layout.root, "a-device")
    _reloaded(broker)
    with pytest.raises(RefusedError):
        broker.link("a-device", made.password)


def test_there_is_no_way_in_without_tls(broker: Broker) -> None:
    """A client that speaks plain MQTT to the broker gets no answer but the end of the connection."""
    password = (broker.layout.secrets / "broker_ingest_password").read_text()
    with pytest.raises(OSError):
        Link(BrokerUrl("localhost", broker.port, False, "ingest", password))


def test_a_client_trusts_this_deployments_authority_only(broker: Broker, tmp_path: Path) -> None:
    """A client that was given another CA does not send its password."""
    other = tmp_path / "other.crt"
    other.write_bytes(tls.authority().certificate)
    with pytest.raises(ssl.SSLCertVerificationError):
        broker.link("ingest", "never sent", ca_file=other)


def test_the_deployed_health_check_works(broker: Broker) -> None:
    """compose.yaml's own health check command succeeds against the broker, and fails when it is gone."""
    with required("mosquitto-clients"):
        packages = ("mosquitto-clients", "libmosquitto1", "libcjson1")
        root = cached("mosquitto-clients", lambda target: apt.unpack(packages, target), quiet)
    document = composition.read(broker.layout.compose, composition.read_variables(broker.layout.env))
    test = document["services"]["broker"]["healthcheck"]["test"][1:]
    command = [part.replace("/mosquitto/secrets", str(broker.layout.broker_secrets)) for part in test]
    command[command.index("8883")] = str(broker.port)
    command[command.index("-W") + 1] = (
        f"{PATIENCE_S:.0f}"  # a machine that stands still is not the broker's fault
    )
    libraries = ":".join(sorted({str(path.parent) for path in root.rglob("*.so*")}))
    environment = {"LD_LIBRARY_PATH": libraries, "XDG_CONFIG_HOME": str(broker.layout.broker_secrets)}
    command[0] = str(root / "usr/bin" / command[0])

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False
        )

    well = run()
    assert (well.returncode, "second" in well.stdout) == (0, True), well.stderr
    broker.child.kill()
    assert run().returncode != 0
