"""Each service's command, taken from compose.yaml, starts against real servers with the secrets that it would get."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from qytet.deploy import composition, healthcheck
from qytet.deploy.layout import Layout
from qytet.embedded.ports import free_port
from tests.deploy.conftest import PATIENCE_S, Broker

pytestmark = pytest.mark.servers

_SERVICES = composition.read(
    Path(__file__).parents[2] / "compose.yaml", {"QYTET_UID": "10001", "QYTET_GID": "10001"}
)["services"]
_OURS = [name for name, service in _SERVICES.items() if service["image"].startswith("qytet:")]
_ONCE = [name for name in _OURS if _SERVICES[name]["restart"] == "no"]
_LASTING = [name for name in _OURS if name not in _ONCE]
_PORTS = {"8100": "QYTET_API__PORT", "8101": "QYTET_INGEST__HTTP_PORT"}  # how each may be told another one


class Deployed:
    """The services by hand: the same commands, environments and secrets, with the servers' addresses of here."""

    def __init__(self, broker: Broker, admin_url: str, tmp_path: Path) -> None:
        self._layout, self._tmp = broker.layout, tmp_path
        self._admin, self._broker_port = urlsplit(admin_url), broker.port

    def command(self, name: str) -> list[str]:
        """The command with the folder of secrets in place of /run/secrets."""
        program, *arguments = _SERVICES[name]["command"]
        assert program == "qytet"
        folder = str(self.secrets(name))
        return [sys.executable, "-m", "qytet", *(part.replace("/run/secrets", folder) for part in arguments)]

    def environment(self, name: str) -> dict[str, str]:
        """The service's environment and nothing of the test's but the path."""
        folder = str(self.secrets(name))
        given = {key: str(value) for key, value in _SERVICES[name]["environment"].items()}
        return {
            "PATH": os.environ["PATH"],
            **{key: value.replace("/run/secrets", folder) for key, value in given.items()},
        }

    def secrets(self, name: str) -> Path:
        """/run/secrets of the service: exactly the files that compose.yaml mounts, under their target names."""
        folder = self._tmp / "run" / name
        folder.mkdir(parents=True, exist_ok=True)
        declared = composition.read(self._layout.compose, composition.read_variables(self._layout.env))[
            "secrets"
        ]
        for secret in _SERVICES[name]["secrets"]:
            source = secret["source"] if isinstance(secret, dict) else secret
            target = secret["target"] if isinstance(secret, dict) else secret
            text = (self._layout.root / declared[source]["file"]).read_text()
            (folder / target).write_text(self._here(source, text))
        return folder

    def _here(self, source: str, text: str) -> str:
        address = f"{self._admin.hostname}:{self._admin.port}"
        if source == "database_admin_url":
            return self._admin.geturl()
        text = text.replace("@database:5432/qytet", f"@{address}{self._admin.path}")
        return text.replace("@broker:8883", f"@localhost:{self._broker_port}")


@pytest.fixture
def deployed(broker: Broker, postgres_url: str, tmp_path: Path) -> Iterator[Deployed]:
    """Servers up, and the services that run once have run, in the order in which they wait for each other."""
    made = Deployed(broker, postgres_url, tmp_path)
    for name in _ONCE:
        done = subprocess.run(
            made.command(name),
            env=made.environment(name),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    yield made
    _drop_roles(postgres_url)


def _drop_roles(admin_url: str) -> None:
    import psycopg

    with psycopg.connect(admin_url, autocommit=True) as admin:
        for role in ("qytet", "qytet_reader", "qytet_dashboards_reader"):
            admin.execute(f"reassign owned by {role} to current_user".encode())
            admin.execute(f"drop owned by {role}".encode())
            admin.execute(f"drop role {role}".encode())


def test_the_table_of_services_is_the_deployed_one() -> None:
    """roles and migrate run once and in this order; ingest and api last."""
    assert _ONCE == ["roles", "migrate"]
    assert _LASTING == ["ingest", "api"]


@pytest.mark.parametrize("name", _LASTING)
def test_the_deployed_command_becomes_healthy_and_stops_in_order(
    deployed: Deployed, name: str, tmp_path: Path
) -> None:
    """The command starts, its own health check passes, SIGTERM stops it in order, and no secret is in its log."""
    url = _SERVICES[name]["healthcheck"]["test"][-1]
    port = free_port()
    inside = str(urlsplit(url).port)
    environment = {**deployed.environment(name), _PORTS[inside]: str(port)}
    if "QYTET_API__HOST" in environment:
        environment["QYTET_API__HOST"] = "127.0.0.1"  # tests open no port beyond this machine
    log = tmp_path / f"{name}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            deployed.command(name), env=environment, cwd=tmp_path, stdout=output, stderr=output
        ) as process,
    ):
        try:
            _wait_healthy(process, url.replace(f":{inside}/", f":{port}/"), log)
            process.send_signal(signal.SIGTERM)
            # uvicorn raises the signal again when it has stopped in order
            assert process.wait(PATIENCE_S) in (0, -signal.SIGTERM), log.read_text()
        finally:
            process.kill()
    assert '"stopped"' in log.read_text()
    _no_secret_in(log.read_text(), deployed.secrets(name))


def _wait_healthy(process: "subprocess.Popen[Any]", url: str, log: Path) -> None:
    deadline = time.monotonic() + 2 * PATIENCE_S
    while time.monotonic() < deadline:
        if healthcheck.main([url]) == 0:
            return
        try:
            process.wait(0.2)  # between two looks; an early exit is noticed at once
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"not healthy (exit code {process.poll()}): {log.read_text()[-2000:]}")


def _no_secret_in(text: str, folder: Path) -> None:
    for file in folder.iterdir():
        secret = file.read_text()
        password = urlsplit(secret).password or secret
        assert password not in text, file.name


def test_the_health_check_says_no(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody listens, and for any address that is not this host, the health check fails and says why."""
    assert healthcheck.main([f"http://127.0.0.1:{free_port()}/health"]) == 1
    assert "refused" in capsys.readouterr().err
    assert healthcheck.main(["http://example.org/"]) == 2


def test_settings_of_the_environment_exist() -> None:
    """Every QYTET_ variable that compose.yaml gives a service is a setting, as is every secret's target name."""
    from qytet.settings import Settings

    fields = Settings.model_fields
    known = {name: set(getattr(field.annotation, "model_fields", {})) for name, field in fields.items()}
    for service in (_SERVICES[name] for name in _OURS):
        names = [
            key.removeprefix("QYTET_").lower() for key in service["environment"] if key != "QYTET_SECRETS_DIR"
        ]
        names += [secret["target"] for secret in service["secrets"] if isinstance(secret, dict)]
        for name in names:
            section, _, key = name.partition("__")
            assert section in known, name
            assert not key or key in known[section], name


def test_no_service_gets_a_secret_that_it_does_not_need(layout: Layout) -> None:
    """The administrator's password reaches the database and the one-shot `roles` only; the API never writes."""
    document = composition.read(layout.compose, composition.read_variables(layout.env))
    given: dict[str, set[str]] = {}
    for name, service in document["services"].items():
        given[name] = {s["source"] if isinstance(s, dict) else s for s in service.get("secrets", ())}
    admins = {name for name, names in given.items() if any("admin" in n and "database" in n for n in names)}
    assert admins == {"database", "roles"}
    assert not any("owner" in name for name in given["api"] | given["grafana"])
    assert given["grafana"] == {"grafana_admin_password", "database_dashboards_password"}


def test_grafana_logs_in_as_the_role_that_is_made_for_it(layout: Layout) -> None:
    """The datasource's user is the one of the URL from which `roles` makes it, and its password's file is mounted."""
    file = layout.root / "deploy/grafana/provisioning/datasources/qytet.yaml"
    (source,) = yaml.safe_load(file.read_text())["datasources"]
    url = urlsplit((layout.secrets / "database_dashboards_url").read_text())
    assert (source["uid"], source["type"]) == ("qytet", "grafana-postgresql-datasource")
    assert (source["user"], source["url"]) == (url.username, f"{url.hostname}:{url.port}")
    mounted = source["secureJsonData"]["password"].removeprefix("$__file{/run/secrets/").removesuffix("}")
    assert mounted in _SERVICES["grafana"]["secrets"]
    assert (layout.secrets / mounted).read_text() == url.password
    assert source["jsonData"]["maxOpenConns"] <= 10  # the role has twenty
