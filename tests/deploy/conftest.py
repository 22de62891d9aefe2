"""A deployment in a folder of the test's own, and the real broker run with exactly its files."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from qytet.broker import BrokerUrl
from qytet.deploy.check import local_configuration
from qytet.deploy.create import create
from qytet.deploy.layout import Layout
from qytet.doctor.mqtt import Link
from qytet.embedded._process import Child, spawn
from qytet.embedded.ports import free_port
from tests.fixtures.availability import required
from tests.servers import mosquitto

REPOSITORY = Path(__file__).parents[2]
_PROVISIONED = "dashboards/qytet_dashboards/provisioned"
PATIENCE_S = 60.0
"""What a test waits for an answer or a process before it gives up."""
_COPIED = ("compose.yaml", ".env.example", "Dockerfile")


@pytest.fixture
def fresh_root(tmp_path: Path) -> Path:
    """The files of version control that a deployment starts from; nothing made yet."""
    root = tmp_path / "a city"
    root.mkdir()
    for name in _COPIED:
        shutil.copy(REPOSITORY / name, root / name)
    shutil.copytree(
        REPOSITORY / "deploy", root / "deploy", ignore=shutil.ignore_patterns("secrets", "data", ".gitignore")
    )
    shutil.copytree(REPOSITORY / _PROVISIONED, root / _PROVISIONED)
    return root


@pytest.fixture
def layout(fresh_root: Path) -> Layout:
    """A deployment after `qytet deploy init`."""
    create(fresh_root, ["mqtt.example"])
    return Layout(fresh_root)


class Broker:
    """The deployment's own mosquitto.conf, ACL, passwords and certificates in a real Mosquitto."""

    def __init__(self, layout: Layout, child: Child, port: int) -> None:
        self.layout, self.child, self.port = layout, child, port

    def link(self, user: str, password: str, *, ca_file: Path | None = None) -> Link:
        """Connect over TLS as the deployment's devices do."""
        target = BrokerUrl("localhost", self.port, True, user, password)
        return Link(target, ca_file=ca_file or self.layout.ca_certificate, timeout=PATIENCE_S)

    def own(self, user: str) -> Link:
        """Connect as one of the platform's own users."""
        return self.link(user, (self.layout.secrets / f"broker_{user}_password").read_text())


@pytest.fixture
def broker(layout: Layout, tmp_path: Path) -> Iterator[Broker]:
    """A running broker of the deployment."""
    with required("Mosquitto"):
        program, environment = mosquitto.prepare()
    folder = tmp_path / "broker"
    folder.mkdir()
    port = free_port()
    configuration = local_configuration(layout, folder, port)
    command: list[str | Path] = [program, "-c", configuration]
    child = spawn("Mosquitto", command, log=folder / "log", environment={**os.environ, **environment})
    running = Broker(layout, child, port)

    def answers() -> bool:
        try:
            running.own("health").__exit__(None, None, None)
        except OSError:
            return False
        return True

    try:
        child.wait_until(answers, deadline=60)
        yield running
    finally:
        child.kill()
