"""A fake Grafana, a folder of small generated files, and the command line between them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from qytet import settings
from qytet.errors import QytetError
from qytet_dashboards.grafana import commands
from tests.dashboards.fake_grafana import TOKEN, FakeGrafana, served

__all__ = ["Kit", "Outcome", "grafana", "kit"]

Json = dict[str, Any]

_APP = typer.Typer()
commands.register(_APP)


@dataclass(frozen=True)
class Outcome:
    """What a command said and how it ended; `error` if it raised one of ours."""

    code: int
    out: str
    err: str
    error: QytetError | None

    @property
    def json(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.out)

    @property
    def everything(self) -> str:
        """All that a person or a log may see."""
        return f"{self.out}\n{self.err}\n{self.error}\n{self.error!r}"


@dataclass(frozen=True)
class Kit:
    """Files below `root` and a Grafana to bring them to."""

    root: Path
    grafana: FakeGrafana

    def run(self, command: str, *options: str) -> Outcome:
        """Run `qytet dashboards COMMAND` in this process. Raises what is no error of ours."""
        arguments = [command, "--url", self.grafana.url, "--folder", str(self.root), *options]
        result = CliRunner().invoke(_APP, arguments)
        error = result.exception if isinstance(result.exception, QytetError) else None
        if result.exception and not error and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr, error)

    def states(self, command: str, *options: str) -> dict[str, str]:
        """What became of each thing (push, permissions), or its state (diff), by kind and uid."""
        found = self.run(command, *options, "--json").json
        rows = found.get("steps") or found.get("findings") or []
        return {f"{row['kind']} {row['uid']}": row.get("outcome", row["state"]) for row in rows}

    def change(self, uid: str, **fields: object) -> Json:
        """Change a generated dashboard, as another build would."""
        path = next(self.root.glob(f"dashboards/*/{uid}.json"))
        content: Json = {**json.loads(path.read_text()), **fields}
        path.write_text(json.dumps(content))
        return content


def board(uid: str, title: str, panels: int = 2) -> Json:
    """A dashboard as the builders make it, small."""
    return {
        "uid": uid,
        "title": title,
        "tags": ["qytet", "sq"],
        "schemaVersion": 41,
        "editable": True,
        "panels": [panel(number) for number in range(1, panels + 1)],
        "templating": {"list": [{"name": "city", "type": "query", "query": "select city", "multi": True}]},
    }


def panel(number: int) -> Json:
    """A panel with one query."""
    return {
        "id": number,
        "title": f"Panel {number}",
        "type": "timeseries",
        "gridPos": {"x": 0, "y": 8 * number, "w": 24, "h": 8},
        "targets": [{"refId": "A", "rawSql": f"select {number}", "format": "table"}],
        "fieldConfig": {"defaults": {"unit": "ugm3"}, "overrides": []},
    }


RULE: Json = {
    "uid": "qytet-silent",
    "title": "Device silent",
    "condition": "B",
    "data": [
        {
            "refId": "A",
            "relativeTimeRange": {"from": 600, "to": 0},
            "datasourceUid": "qytet",
            "model": {"rawSql": "select $__timeFilter(t), '$$x'", "format": "table"},
        },
        {"refId": "B", "datasourceUid": "__expr__", "model": {"type": "threshold", "expression": "A"}},
    ],
    "noDataState": "OK",
    "execErrState": "Error",
    "for": "5m",
    "dashboardUid": "qytet-fleet-sq",
    "panelId": 2,
    "annotations": {"summary": "{{ $labels.device }} of ${CITY_NAME}", "price": "5 $$"},
    "labels": {"domain": "fleet"},
}


def write_files(root: Path) -> None:
    """Three dashboards in two folders, a group of alert rules, a contact point, a template and policies."""
    boards = {"qytet": ["qytet-fleet-sq", "qytet-air-sq"], "tirana": ["qytet-city-tirana-sq"]}
    for folder, uids in boards.items():
        (root / "dashboards" / folder).mkdir(parents=True)
        for uid in uids:
            (root / "dashboards" / folder / f"{uid}.json").write_text(json.dumps(board(uid, uid.title())))
    (root / "folders.json").write_text(json.dumps({"qytet": "Qytet", "tirana": "Tiranë", "korce": "Korçë"}))
    group = {"orgId": 1, "name": "Fleet & more", "folder": "Qytet", "interval": "1m", "rules": [RULE]}
    point = {
        "orgId": 1,
        "name": "operators",
        "receivers": [
            {"uid": "op", "type": "email", "settings": {"addresses": "${OPERATORS}", "password": "p"}}
        ],
    }
    contents = {
        "rules.yaml": {"apiVersion": 1, "groups": [group]},
        "contacts.yaml": {
            "contactPoints": [point],
            "policies": [{"orgId": 1, "receiver": "operators", "group_by": ["city"]}],
            "templates": [{"orgId": 1, "name": "short", "template": '{{ define "short" }}x{{ end }}'}],
        },
    }
    (root / "alerting").mkdir()
    for name, content in contents.items():
        (root / "alerting" / name).write_text(yaml.safe_dump(content))


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    """A Grafana with nothing in it but the data source."""
    with served() as found:
        yield found


@pytest.fixture
def kit(grafana: FakeGrafana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    """Files, that Grafana, and the token in the environment."""
    write_files(tmp_path / "files")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QYTET_GRAFANA__TOKEN", TOKEN)
    monkeypatch.setenv("CITY_NAME", "Tiranë")
    monkeypatch.setenv("OPERATORS", "operators@city.example")
    monkeypatch.setenv("COLUMNS", "200")
    settings.load.cache_clear()
    yield Kit(tmp_path / "files", grafana)
    settings.load.cache_clear()
