"""The `qytet` program: every part's commands load, errors say what to do, exit codes hold."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from qytet import cli
from qytet.deploy import passwords
from qytet.deploy.commands import app as deploy
from qytet.errors import InputError, NotFoundError


def _run(*arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {key: value for key, value in os.environ.items() if not key.startswith("QYTET_")}
    return subprocess.run(
        [sys.executable, "-m", "qytet", *arguments],
        cwd=cwd,
        env={**kept, "NO_COLOR": "1", "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _commands() -> list[str]:
    return sorted(point.name for point in metadata.entry_points(group="qytet.commands"))


@pytest.mark.parametrize("name", _commands())
def test_every_parts_commands_load(name: str) -> None:
    """Each entry point names a module that exists and a typer app: nothing is shown as missing that is ours."""
    (point,) = metadata.entry_points(group="qytet.commands", name=name)
    assert isinstance(point.load(), typer.Typer)


def test_the_version_is_the_distributions(tmp_path: Path) -> None:
    """`qytet --version` prints the version and needs no settings."""
    done = _run("--version", cwd=tmp_path, QYTET_API__PORT="wrong")
    assert (done.returncode, done.stdout.strip()) == (0, f"qytet {metadata.version('qytet')}")


def test_help_names_every_part(tmp_path: Path) -> None:
    """`qytet --help` lists each part's commands."""
    done = _run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert [name for name in _commands() if name not in done.stdout] == []


def test_an_error_says_what_why_and_what_to_do(tmp_path: Path) -> None:
    """An error goes to standard error in three parts, with exit code 1 and no traceback."""
    done = _run("deploy", "credential", "a-device", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert "Do:" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_is_json_where_json_was_asked_for(tmp_path: Path) -> None:
    """With --json the error is one JSON object on standard error."""
    done = _run("deploy", "credential", "a-device", "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert set(json.loads(done.stderr)) == {"error", "why", "do"}


def test_wrong_settings_stop_every_command(tmp_path: Path) -> None:
    """A wrong setting is an error of its own, before anything is done, and its value is not repeated."""
    done = _run("deploy", "init", cwd=tmp_path, QYTET_API__PORT="hunter2")
    assert done.returncode == 1
    assert "api.port" in done.stderr
    assert "hunter2" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    """An unknown command or option is told apart from a failure."""
    assert _run("nonsense", cwd=tmp_path).returncode == 2
    assert _run("doctor", "--nonsense", cwd=tmp_path).returncode == 2


def _points(module: str) -> metadata.EntryPoints:
    return metadata.EntryPoints([metadata.EntryPoint("broken-part", f"{module}:app", "qytet.commands")])


def test_a_missing_module_of_our_own_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """strict raises for a module of ours; for somebody else's the command stays and says which extra to install."""
    monkeypatch.setattr(cli, "entry_points", lambda **_group: _points("qytet.no_such_module"))
    with pytest.raises(ModuleNotFoundError):
        cli.add_plugins(strict=True)
    added: list[tuple[str, str]] = []
    monkeypatch.setattr(cli, "_add_missing", lambda name, module: added.append((name, module)))
    monkeypatch.setattr(cli, "entry_points", lambda **_group: _points("no_such_package"))
    cli.add_plugins(strict=True)
    assert added == [("broken-part", "no_such_package")]


def test_deploy_works_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """init, credential, devices, revoke: the printed password is the one that was stored, and it goes away."""
    monkeypatch.chdir(tmp_path)

    def told(*arguments: str) -> dict[str, Any]:
        done = CliRunner().invoke(deploy, [*arguments, "--json"], catch_exceptions=False)
        assert done.exit_code == 0
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    assert "deploy/secrets/broker/server.crt" in told("init", "--host", "mqtt.example")["made"]
    given = told("credential", "a-device")
    file = tmp_path / "deploy" / "secrets" / "broker" / "passwords"
    assert passwords.verify(given["password"], passwords.parse(file.read_text())["a-device"])
    assert given["password"] not in file.read_text()
    with pytest.raises(InputError, match="has a password already"):
        told("credential", "a-device")
    assert told("devices") == {"devices": ["a-device"]}
    told("revoke", "a-device")
    assert told("devices") == {"devices": []}
    with pytest.raises(NotFoundError):
        told("revoke", "ingest")
