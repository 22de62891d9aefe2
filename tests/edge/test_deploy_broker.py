"""The local broker as `edge/deploy` configures it: nodes keep to themselves, the relay hears them, by TLS from afar."""

import os
import queue
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from qytet.embedded._process import spawn
from qytet.embedded.ports import free_port
from tests.fixtures.availability import required
from tests.servers import mosquitto

DEPLOY = Path(__file__).resolve().parents[2] / "edge/deploy/broker"
LIMIT_S = 90.0


@dataclass
class Local:
    """A running local broker, and the passwords of its users."""

    root: Path
    environment: dict[str, str]
    passwords: dict[str, str] = field(default_factory=dict)
    port: int = 0
    tls_port: int = 0

    def nodes(self, *words: str, check: bool = True) -> str:
        """Run nodes.sh."""
        done = subprocess.run(
            ["sh", DEPLOY / "nodes.sh", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
        )
        return done.stdout + done.stderr

    def add(self, name: str) -> None:
        """Give a node a password."""
        said = self.nodes("add", name)
        self.passwords[name] = said.split("password")[1].split()[0]


class Client:
    """A client that says what it hears; made by `connected`."""

    def __init__(self, local: Local, user: str, *, tls: bool = False) -> None:
        self.heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=user, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(user, local.passwords[user])
        if tls:
            self._client.tls_set(
                ca_certs=str(local.root / "etc/mosquitto/qytet-ca.crt"), tls_version=ssl.PROTOCOL_TLS_CLIENT
            )
        self._client.on_connect = lambda _c, _u, _f, reason, _p: self._done.put(reason)
        self._client.on_subscribe = lambda *_: self._done.put("subscribed")
        self._client.on_message = lambda _c, _u, message: self.heard.put((message.topic, message.payload))
        self._client.on_publish = lambda _c, _u, _m, reason, _p: self._done.put(reason)
        self._client.connect("127.0.0.1", local.tls_port if tls else local.port)
        self._client.loop_start()
        self.reason = self._done.get(timeout=LIMIT_S)

    def subscribe(self, topic: str) -> None:
        """Returns when the broker has it."""
        self._client.subscribe(topic, qos=1)
        assert self._done.get(timeout=LIMIT_S) == "subscribed"

    def publish(self, topic: str, payload: str) -> bool:
        """Whether the broker let it through."""
        self._client.publish(topic, payload, qos=1)
        return not getattr(self._done.get(timeout=LIMIT_S), "is_failure", True)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """Mosquitto with Debian's main file around ours, on free ports, with its certificate and one node."""
    with required("Mosquitto"):
        program, environment = mosquitto.prepare()
    folder = tmp_path / "etc/mosquitto"
    (folder / "conf.d").mkdir(parents=True)
    (tmp_path / "etc/qytet-edge").mkdir()
    tools = program.parent.parent / "bin"
    environment = {**os.environ, **environment, "PATH": f"{tools}:{os.environ['PATH']}"}
    found = Local(tmp_path, environment | {"QYTET_EDGE_ROOT": str(tmp_path)})
    found.nodes("init", "localhost", "127.0.0.1")
    found.passwords["relay"] = (tmp_path / "etc/qytet-edge/relay_password").read_text().strip()
    found.add("tirana-air-01")
    (folder / "qytet-nodes.acl").write_bytes((DEPLOY / "qytet-nodes.acl").read_bytes())
    (folder / "qytet-nodes.acl").chmod(0o600)
    found.port, found.tls_port = free_port(), free_port()  # not before: making certificates takes its time
    for name in ("qytet-nodes.conf", "qytet-nodes-lan.conf"):
        text = (DEPLOY / name).read_text().replace(" /etc/", f" {tmp_path}/etc/")
        text = text.replace("listener 1883 ", f"listener {found.port} ")
        text = text.replace("listener 8883", f"listener {found.tls_port} 127.0.0.1")
        (folder / "conf.d" / name).write_text(text)
    main = [
        "persistence true",
        f"persistence_location {tmp_path}/",
        "log_dest stderr",
        f"include_dir {folder}/conf.d",
    ]
    user = "root" if os.geteuid() == 0 else "mosquitto"
    (folder / "mosquitto.conf").write_text("\n".join([f"user {user}", *main, ""]))
    child = spawn(
        "Mosquitto", [program, "-c", folder / "mosquitto.conf"], log=tmp_path / "log", environment=environment
    )
    try:
        from qytet.embedded._mqtt_probe import mqtt_answers

        child.wait_until(
            lambda: mqtt_answers("127.0.0.1", found.port, "relay", found.passwords["relay"]), deadline=120
        )
        yield found
    finally:
        child.kill()


def test_a_node_reaches_the_relay_and_nobody_else(local: Local) -> None:
    """Over TLS a node speaks below its own name only; the relay hears it and answers it, and cannot speak for it."""
    node, relay = Client(local, "tirana-air-01", tls=True), Client(local, "relay")
    try:
        relay.subscribe("qytet/v1/tirana/+/obs")
        node.subscribe("qytet/v1/#")
        assert node.publish("qytet/v1/tirana/tirana-air-01/obs", "one")
        assert relay.heard.get(timeout=LIMIT_S) == ("qytet/v1/tirana/tirana-air-01/obs", b"one")
        assert node.heard.get(timeout=LIMIT_S)[1] == b"one"
        assert not node.publish("qytet/v1/tirana/tirana-air-02/obs", "in another's name")
        assert relay.publish("qytet/v1/tirana/tirana-air-02/stored", "for another")
        assert relay.publish("qytet/v1/tirana/tirana-air-01/stored", "mark")
        assert node.heard.get(timeout=LIMIT_S) == ("qytet/v1/tirana/tirana-air-01/stored", b"mark")
        assert not relay.publish("qytet/v1/tirana/tirana-air-01/obs", "an invention")
    finally:
        node.close()
        relay.close()


def test_strangers_stay_out(local: Local) -> None:
    """Nobody comes in without a password or with a wrong one."""
    local.passwords["nobody"] = "guess"
    client = Client(local, "nobody")
    try:
        assert getattr(client.reason, "is_failure", False)
    finally:
        client.close()


def test_two_who_add_at_once_lose_no_password(local: Local) -> None:
    """Two technicians, or a script and one: each node that was told a password is let in with it."""
    tools = local.root / "tools"
    tools.mkdir()
    (tools / "mosquitto_passwd").write_text(
        f'#!/bin/sh\nsleep 0.3\nPATH="{local.environment["PATH"]}" exec mosquitto_passwd "$@"\n'
    )
    (tools / "mosquitto_passwd").chmod(0o755)
    slowly = local.environment | {"PATH": f"{tools}:{local.environment['PATH']}"}
    names = ["tirana-air-02", "tirana-air-03", "tirana-air-04"]
    adding = [
        subprocess.Popen(["sh", DEPLOY / "nodes.sh", "add", name], env=slowly, stdout=subprocess.PIPE)
        for name in names
    ]
    for one in adding:
        with one:
            one.communicate()
        assert one.returncode == 0
    assert local.nodes("list").split() == ["tirana-air-01", *names]


def test_a_certificate_that_was_not_finished_is_made(local: Local) -> None:
    """The power may go between an authority's key and its certificate: the next `init` makes what is missing."""
    folder = local.root / "etc/mosquitto"
    for name in ("qytet-ca.crt", "qytet-server.crt"):
        (folder / name).unlink()
    local.nodes("init", "localhost")
    verify = ["openssl", "verify", "-CAfile", folder / "qytet-ca.crt", folder / "qytet-server.crt"]
    subprocess.run(verify, check=True, capture_output=True)


def test_passwords_are_kept_as_digests(local: Local) -> None:
    """No password stands in the broker's files; nodes can be listed, renewed and removed; wrong names are refused."""
    text = (local.root / "etc/mosquitto/qytet-nodes.passwords").read_text()
    assert not any(password in text for password in local.passwords.values())
    local.add("tirana-air-02")
    first = local.passwords["tirana-air-02"]
    local.add("tirana-air-02")
    assert local.passwords["tirana-air-02"] != first
    assert local.nodes("list").split() == ["tirana-air-01", "tirana-air-02"]
    local.nodes("remove", "tirana-air-01")
    assert local.nodes("list").split() == ["tirana-air-02"]
    before = local.root.joinpath("etc/mosquitto/qytet-nodes.passwords").read_text()
    for wrong in ("relay", "Tirana", "a:b", "", "x" * 65, "../x"):
        assert "Error" in local.nodes("add", wrong, check=False)
    local.nodes("init", "localhost")
    assert local.root.joinpath("etc/mosquitto/qytet-nodes.passwords").read_text() == before
