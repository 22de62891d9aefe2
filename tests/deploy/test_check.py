"""`qytet deploy check`: finds each thing that is wrong, and nothing in what init has made."""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from qytet.deploy import check as checking
from qytet.deploy import composition, tls
from qytet.deploy.check import check
from qytet.deploy.create import create
from qytet.deploy.layout import Layout
from qytet.doctor.finding import Finding, State
from qytet.errors import InputError
from tests.fixtures.availability import required
from tests.servers import mosquitto


def _wrong(layout: Layout) -> list[Finding]:
    return [finding for finding in check(layout.root) if finding.state is not State.OK]


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_what_init_made_is_well(layout: Layout) -> None:
    """The committed files and what init makes of them have no problem and no warning, in every group."""
    findings = check(layout.root)
    assert [finding for finding in findings if finding.state is not State.OK] == []
    assert {finding.group for finding in findings} == {
        "services",
        ".env",
        "secrets",
        "certificates",
        "broker",
    }


def test_before_init_each_missing_thing_is_named(fresh_root: Path) -> None:
    """Without init the check fails and sends to init; it does not crash."""
    findings = [finding for finding in check(fresh_root) if finding.state is State.PROBLEM]
    assert {".env", "certificates", "broker", "compose.yaml"} <= {finding.group for finding in findings}
    assert all(finding.do for finding in findings)


_COMPOSE: list[tuple[str, str, str]] = [
    ("eclipse-mosquitto:2.0.22", "eclipse-mosquitto:latest", "no fixed version"),
    ('cap_drop: ["ALL"]', "cap_drop: []", "keeps capabilities"),
    ("read_only: true", "read_only: false", "can be written"),
    ("mem_limit: ${QYTET_API_MEMORY:-512m}", "", "mem_limit is not set"),
    ('"db", "migrate"]', '"db", "migrate"', "is not YAML"),
    ("restart: unless-stopped", 'restart: "always"', "not started again"),
    ("- broker_ca", "- broker_caa", "broker_caa is not declared"),
    ("networks: [inside, outside]", "networks: [inside]", "without a way out"),
    ("networks: [inside, outside]", "networks: [elsewhere]", "elsewhere is not declared"),
    ('"${QYTET_API_ADDRESS:-127.0.0.1}:', '"', "open on every address"),
    (
        "roles: {condition: service_completed_successfully}",
        "rules: {condition: service_healthy}",
        "waits for rules",
    ),
    ('"${QYTET_API_ADDRESS:-127.0.0.1}:', '"api.tirana.example:', "bound to a name"),
    ("environment: {<<: *settings}", 'environment: ["A=b"]', "form that is not known"),
    ("GF_LOG_MODE: console", "GF_DATABASE_PASSWORD: x", "environment holds GF_DATABASE_PASSWORD"),
    ("./deploy/grafana/provisioning", "./deploy/grafana/nowhere", "does not exist"),
    ("${QYTET_LANGUAGE:-sq}", "${QYTET_LANGUAGUE:-sq}", "QYTET_LANGUAGUE is not described"),
    ("pids_limit: 64", "pids_limits: 64", "pids_limits is not known"),
    ("dockerfile: Dockerfile", "dockerfile: Containerfile", "Containerfile does not exist"),
    ('user: "${QYTET_UID:?run qytet deploy init}:', 'user: "0:', "runs as root"),
]


@pytest.mark.parametrize(("old", "new", "said"), _COMPOSE, ids=[said for _, _, said in _COMPOSE])
def test_each_rule_of_compose_is_checked(layout: Layout, old: str, new: str, said: str) -> None:
    """Breaking any one rule of compose.yaml is found and named."""
    _edit(layout.compose, old, new)
    findings = _wrong(layout)
    assert any(said in finding.what for finding in findings), findings
    assert all(finding.do for finding in findings)


def _loosen(layout: Layout) -> None:
    (layout.secrets / "database_owner_url").chmod(0o640)


def _lose(layout: Layout) -> None:
    (layout.secrets / "api_operator_token").unlink()


def _empty(layout: Layout) -> None:
    (layout.secrets / "grafana_admin_password").write_text("")


def _other_authority(layout: Layout) -> None:
    layout.ca_certificate.write_bytes(tls.authority().certificate)


def _forget_user(layout: Layout) -> None:
    file = layout.broker_secrets / "passwords"
    file.write_text(
        "".join(line for line in file.read_text().splitlines(True) if not line.startswith("ingest"))
    )


def _root_user(layout: Layout) -> None:
    text = layout.env.read_text().splitlines()
    layout.env.write_text(
        "\n".join("QYTET_UID=0" if line.startswith("QYTET_UID=") else line for line in text)
    )


def _misspell(layout: Layout) -> None:
    with layout.env.open("a") as file:
        file.write("QYTET_API_PROT=8100\n")


def _open_wide(layout: Layout) -> None:
    _edit(layout.env, "QYTET_BROKER_ADDRESS=127.0.0.1", "QYTET_BROKER_ADDRESS=0.0.0.0")


_BROKEN: list[tuple[Callable[[Layout], None], State, str]] = [
    (_loosen, State.PROBLEM, "database_owner_url can be read by others"),
    (_lose, State.PROBLEM, "api_operator_token is missing"),
    (_empty, State.PROBLEM, "grafana_admin_password is empty"),
    (_other_authority, State.PROBLEM, "did not sign"),
    (_forget_user, State.PROBLEM, "does not know the user ingest"),
    (_root_user, State.PROBLEM, "would run as root"),
    (_misspell, State.WARNING, "QYTET_API_PROT is set and compose.yaml does not use it"),
    (_open_wide, State.WARNING, "open beyond this machine"),
]


@pytest.mark.parametrize(("break_it", "state", "said"), _BROKEN, ids=[said for _, _, said in _BROKEN])
def test_each_broken_file_is_found(
    layout: Layout, break_it: Callable[[Layout], None], state: State, said: str
) -> None:
    """A secret that others can read, a missing file, a wrong certificate: each is found with its weight."""
    break_it(layout)
    assert any(finding.state is state and said in finding.what for finding in _wrong(layout))


@pytest.fixture
def mosquitto_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which the real mosquitto is installed."""
    with required("Mosquitto"):
        program, environment = mosquitto.prepare()
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "mosquitto"
    exports = "".join(f"export {name}='{value}'\n" for name, value in environment.items())
    script.write_text(f"#!/bin/sh\n{exports}exec '{program}' \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.servers
@pytest.mark.usefixtures("mosquitto_on_path")
def test_the_real_broker_judges_its_configuration(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where mosquitto is installed it tries mosquitto.conf: ours is accepted, a misspelt option is quoted.

    It is asked, not waited for: both come by what it says, and not by a limit of time.
    """
    monkeypatch.setattr(checking, "_BROKER_STARTS", 200.0)
    assert any("accepts mosquitto.conf" in finding.what for finding in check(layout.root))
    _edit(layout.broker_configuration / "mosquitto.conf", "persistence true", "persistance true")
    assert any("refuses mosquitto.conf" in finding.what for finding in _wrong(layout))


@pytest.fixture
def slow_mosquitto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose mosquitto is a script: the file that is returned."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    script = folder / "mosquitto"
    script.touch(mode=0o755)
    return script


def test_a_broker_that_takes_its_time_to_refuse_is_heard(layout: Layout, slow_mosquitto: Path) -> None:
    """On a busy machine a broker may need seconds before it says no; it is not taken to have said yes."""
    slow_mosquitto.write_text("#!/bin/sh\nsleep 1.5\necho 'Error: no such thing' >&2\nexit 3\n")
    assert any("refuses mosquitto.conf: Error: no such thing" in finding.what for finding in _wrong(layout))


def test_a_port_that_was_taken_meanwhile_is_no_fault_of_the_file(
    layout: Layout, slow_mosquitto: Path, tmp_path: Path
) -> None:
    """A broker whose port somebody else got first is tried on another."""
    tried = tmp_path / "tried"
    slow_mosquitto.write_text(
        f"#!/bin/sh\nif [ -e '{tried}' ]; then echo 'mosquitto version 2 running' >&2; exec sleep 600; fi\n"
        f"touch '{tried}'\necho 'Error: Address already in use' >&2\nexit 1\n"
    )
    assert any("accepts mosquitto.conf" in finding.what for finding in check(layout.root))


@pytest.mark.parametrize(
    ("life", "state"), [(dt.timedelta(minutes=-30), State.PROBLEM), (dt.timedelta(days=20), State.WARNING)]
)
def test_a_certificate_that_ends_is_found(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, life: dt.timedelta, state: State
) -> None:
    """An expired certificate is a problem, one that ends within a month a warning; both say what to do."""
    monkeypatch.setattr(tls, "SERVER_LIFE", life)
    create(layout.root, rotate=["broker-certificate"])
    found = [finding for finding in _wrong(layout) if finding.group == "certificates"]
    assert [finding.state for finding in found] == [state]
    assert "--rotate broker-certificate" in found[0].do


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "1"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NONE:-x}", "x"),
        ("${A:-x}y", "1y"),
        ("$${A}", "${A}"),
        ("${A:?no}", "1"),
    ],
)
def test_variables_are_filled_in_as_compose_does(tmp_path: Path, text: str, value: str) -> None:
    """Each form of the Compose specification gives the value that it prescribes."""
    file = tmp_path / "compose.yaml"
    file.write_text(f"services:\n  s:\n    image: '{text}'\n")
    assert composition.read(file, {"A": "1", "EMPTY": ""})["services"]["s"]["image"] == value


@pytest.mark.parametrize("text", ["${NONE}", "${NONE:?it is needed}", "${EMPTY:?it is needed}"])
def test_a_missing_variable_is_an_error(tmp_path: Path, text: str) -> None:
    """A variable without value and without default stops, where Compose would warn or stop."""
    file = tmp_path / "compose.yaml"
    file.write_text(f"services:\n  s:\n    image: {text}\n")
    with pytest.raises(InputError, match="is not set"):
        composition.read(file, {"EMPTY": ""})
