"""`qytet api serve` starts, says where it is, refuses clearly, and stops in order."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from qytet_api import commands
from tests.api.served import PATIENCE_S, serve, start

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_taken_port_is_a_clear_error(world_url: str, tmp_path: Path) -> None:
    """A second API on the same port ends with what to do; the first goes on."""
    with serve(world_url, tmp_path) as served:
        with start(world_url, served.port, tmp_path) as second:
            _, errors = second.communicate(timeout=PATIENCE_S)
            assert second.returncode == 1
        assert "--port 0" in json.loads(errors.splitlines()[-1])["do"]
        served.await_ready()
        assert served.interrupt() == 0


def test_logs_and_errors_hold_no_secret(tmp_path: Path) -> None:
    """Whatever goes wrong with the database, its password is in no line of the log."""
    with serve("postgresql://someone:hunter2@127.0.0.1:9/none", tmp_path) as served:
        assert httpx.get(f"{served.url}/v1/ready", timeout=PATIENCE_S).status_code == 503
        assert served.interrupt() == 0
        assert served.process.stderr is not None
        assert "hunter2" not in served.process.stderr.read()


def test_openapi_command_writes_the_document(tmp_path: Path) -> None:
    """`qytet api openapi` writes the document without any database."""
    command = [sys.executable, "-m", "qytet", "api", "openapi"]
    written = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(written.stdout) == json.loads(json.dumps(commands.document()))


def test_every_operation_is_described() -> None:
    """Each operation has a summary, a description, and says what errors look like; each parameter is explained."""
    document = json.loads(json.dumps(commands.document()))
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            place = f"{method} {path}"
            assert operation["summary"], place
            assert operation["description"], place
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "query":
                    assert parameter["description"], f"{place} {parameter['name']}"
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], f"{place} {status}"
    assert "HTTPValidationError" not in json.dumps(document)
    assert document["components"]["schemas"]["Problem"]["properties"]["detail"]


@pytest.mark.parametrize(("command", "file"), [("openapi", "openapi.json"), ("reference", "api.md")])
def test_reference_has_not_drifted(tmp_path: Path, command: str, file: str) -> None:
    """The committed reference is what the program would write now: `qytet api COMMAND --output docs/reference/FILE`."""
    made = tmp_path / file
    subprocess.run(
        [sys.executable, "-m", "qytet", "api", command, "--output", str(made)], cwd=tmp_path, check=True
    )
    assert made.read_text(encoding="utf-8") == (REFERENCE / file).read_text(encoding="utf-8")
