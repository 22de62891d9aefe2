"""Grafana's files as its container sees them: every path is mounted, every variable is given, every key is known."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from qytet.deploy import composition
from qytet_dashboards.boards import LANGUAGES
from tests.dashboards.boards import DATASOURCE, Board, Json, boards, rules
from tests.docs.markdown import ROOT

_PLACE = PurePosixPath("/etc/grafana/provisioning")
_KINDS = ("datasources", "dashboards", "alerting")
_COLUMNS, _LINES = 24, 14
"""What a screen of 1366 x 768 shows of a board below Grafana's own two bars: 14 lines of 38 pixels at least."""

# What Grafana 11.6 to 12 read of each file; it passes over anything else in silence.
_PROVIDER = {"name", "orgId", "folder", "folderUid", "type", "disableDeletion", "editable", "allowUiUpdates"}
_PROVIDER |= {"updateIntervalSeconds", "options"}
_SOURCE = {
    "name",
    "uid",
    "type",
    "access",
    "url",
    "user",
    "isDefault",
    "editable",
    "jsonData",
    "secureJsonData",
}
_SETTINGS = {"database", "sslmode", "maxOpenConns", "maxIdleConns", "maxIdleConnsAuto", "connMaxLifetime"}
_SETTINGS |= {"postgresVersion", "timescaledb", "timeInterval"}
_RULE = {"uid", "title", "condition", "data", "dashboardUid", "panelId", "noDataState", "execErrState", "for"}
_RULE |= {"annotations", "labels", "isPaused"}
_ROUTE = {"orgId", "receiver", "group_by", "group_wait", "group_interval", "repeat_interval", "routes"}
_ROUTE |= {"object_matchers"}
_DURATION = re.compile(r"[1-9]\d*[smhdw]")  # as Prometheus writes it, in one unit
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_FILE = re.compile(r"\$__file\{([^}]+)\}")


def _grafana(language: str = "sq") -> Mapping[str, Any]:
    variables = {"QYTET_UID": "10001", "QYTET_GID": "10001", "QYTET_LANGUAGE": language}
    found: Mapping[str, Any] = composition.read(ROOT / "compose.yaml", variables)["services"]["grafana"]
    return found


def _here(path: str) -> Path:
    """Where a path of the container lies in this checkout."""
    for mount in _grafana()["volumes"]:
        if PurePosixPath(path).is_relative_to(mount["target"]):
            return Path(ROOT, mount["source"], PurePosixPath(path).relative_to(mount["target"]))
    raise AssertionError(f"{path} is in none of the folders that compose.yaml mounts")


def _read(kind: str) -> Iterator[Json]:
    files = sorted(_here(str(_PLACE / kind)).glob("*.yaml"))
    assert files, kind
    for file in files:
        yield yaml.safe_load(file.read_text(encoding="utf-8"))


def _providers() -> list[Json]:
    return [one for file in _read("dashboards") for one in file["providers"]]


@pytest.mark.parametrize("kind", _KINDS)
def test_each_file_is_of_the_version_that_is_read(kind: str) -> None:
    """Grafana reads files of version 1; it refuses to start with one of another form."""
    assert all(file["apiVersion"] == 1 for file in _read(kind))


def test_each_provider_finds_its_boards() -> None:
    """Every generated board lies in exactly one provider's folder, below a mount; none of them is named twice.

    Grafana saves no board of a folder in which two have one title.
    """
    found: list[Path] = []
    for one in _providers():
        assert one.keys() <= _PROVIDER
        assert one["type"] == "file"
        there = sorted(_here(one["options"]["path"]).rglob("*.json"))
        assert there, one["name"]
        titles = [json.loads(file.read_text(encoding="utf-8"))["title"] for file in there]
        assert len(set(titles)) == len(titles), one["name"]
        found += there
    assert sorted(json.loads(file.read_text(encoding="utf-8"))["uid"] for file in found) == sorted(
        board.uid for board in boards()
    )
    for name in ("name", "folder", "folderUid"):
        values = [one[name] for one in _providers()]
        assert len(set(values)) == len(values)
    assert all(re.fullmatch(r"[\w-]{1,40}", one["folderUid"]) for one in _providers())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_page_is_there(language: str) -> None:
    """What opens after the login is the country at a glance, in the deployment's language."""
    home = _grafana(language)["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert json.loads(_here(home).read_text(encoding="utf-8"))["uid"] == f"qytet-national-{language}"


def test_what_files_refer_to_is_given() -> None:
    """Every variable of a provisioning file is in Grafana's environment, and every file it names is a secret of it."""
    service = _grafana()
    for kind in _KINDS:
        for file in sorted(_here(str(_PLACE / kind)).glob("*.yaml")):
            if file.name == "rules.yaml":  # whose `$` are Grafana's own templates
                continue
            text = file.read_text(encoding="utf-8")
            assert set(_VARIABLE.findall(text)) <= set(service["environment"]), file.name
            assert {Path(name).name for name in _FILE.findall(text)} <= set(service["secrets"]), file.name


def test_the_datasource_is_the_one_that_is_asked() -> None:
    """The datasource has the uid and type that boards and rules name, and only keys that the plugin reads."""
    (source,) = (one for file in _read("datasources") for one in file["datasources"])
    assert source.keys() <= _SOURCE
    assert source["jsonData"].keys() <= _SETTINGS
    assert {"type": source["type"], "uid": source["uid"]} == DATASOURCE
    asked = {node["datasourceUid"] for rule in rules() for node in rule["data"]}
    assert asked == {source["uid"], "__expr__"}


def test_rules_have_the_form_that_is_read() -> None:
    """Groups and rules have known keys, durations of Prometheus, whole seconds, and a condition that is asked."""
    for file in _read("alerting"):
        for group in file.get("groups", ()):
            assert group.keys() == {"orgId", "name", "folder", "interval", "rules"}
            assert _DURATION.fullmatch(group["interval"])
            assert "/" not in group["folder"]
            for rule in group["rules"]:
                _check_rule(rule)


def _check_rule(rule: Json) -> None:
    assert rule.keys() == _RULE, rule["uid"]
    assert _DURATION.fullmatch(rule["for"])
    assert len(rule["title"]) <= 190
    assert rule["noDataState"] in ("OK", "NoData", "Alerting", "KeepLast")
    assert rule["execErrState"] in ("OK", "Error", "Alerting", "KeepLast")
    assert all(isinstance(value, str) for part in ("annotations", "labels") for value in rule[part].values())
    refs = [node["refId"] for node in rule["data"]]
    assert rule["condition"] == refs[-1]
    for place, node in enumerate(rule["data"]):
        assert node.keys() == {"datasourceUid", "model", "refId", "relativeTimeRange"}
        assert node["model"]["refId"] == node["refId"]
        span = node["relativeTimeRange"]
        assert all(isinstance(span[end], int) for end in ("from", "to"))
        assert span["from"] > span["to"] or node["datasourceUid"] == "__expr__"
        if node["datasourceUid"] == "__expr__":
            assert node["model"]["expression"] in refs[:place]


def test_policies_have_the_form_that_is_read() -> None:
    """Each route has known keys and durations of Prometheus; Grafana does not start with another."""
    trees = [one for file in _read("alerting") for one in file.get("policies", ())]
    assert trees
    for route in [*trees, *(route for tree in trees for route in tree["routes"])]:
        assert route.keys() <= _ROUTE
        for name in ("group_wait", "group_interval", "repeat_interval"):
            assert _DURATION.fullmatch(route[name]), name


@pytest.mark.parametrize("board", boards(), ids=[board.uid for board in boards()])
def test_panels_stand_side_by_side(board: Board) -> None:
    """No panel covers another or leaves the 24 columns, and a screen of 1366 x 768 shows each as a whole."""
    tops = board.json["panels"]
    for panel in [*tops, *(inner for row in tops for inner in row.get("panels", ()))]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= _COLUMNS
        assert at["h"] <= _LINES, panel["title"]
    for group in (tops, *(row["panels"] for row in tops if row["type"] == "row")):
        for one, other in combinations((panel["gridPos"] for panel in group), 2):
            assert not _overlap(one, other), (one, other)


@pytest.mark.parametrize("board", boards(), ids=[board.uid for board in boards()])
def test_no_table_is_wider_than_its_panel(board: Board) -> None:
    """On a screen 1366 wide the columns of a table fit its panel, each that takes what is left at least 60 pixels."""
    for panel in (one for one in board.panels if one.type == "table"):
        least = panel.defaults["custom"]["minWidth"]
        assert least >= 60
        columns: dict[str, int] = {}
        hidden = set()
        for override in panel.overrides:
            name = override["matcher"]["options"]
            said = {one["id"]: one["value"] for one in override["properties"]}
            columns[name] = said.get("custom.width") or columns.get(name, 0)
            hidden |= {name} if said.get("custom.hidden") else set()
        wanted = sum(width or least for name, width in columns.items() if name not in hidden)
        assert wanted <= _inner_width(panel.json["gridPos"]["w"]), panel.name


def _inner_width(columns: int) -> float:
    """Pixels within a panel: 24 columns, 8 between them, share the screen less its margins of 16; less the border."""
    return (1366 - 2 * 16 - 23 * 8) / _COLUMNS * columns + 8 * (columns - 1) - 18


def _overlap(one: Json, other: Json) -> bool:
    return bool(
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def test_links_in_notifications_begin_with_the_public_address() -> None:
    """What `.env` says of Grafana's address reaches Grafana; else an alert's links lead to the reader's machine."""
    variables = {"QYTET_UID": "1", "QYTET_GID": "1", "QYTET_GRAFANA_URL": "https://grafana.tirana.example/"}
    service = composition.read(ROOT / "compose.yaml", variables)["services"]["grafana"]
    assert service["environment"]["GF_SERVER_ROOT_URL"] == variables["QYTET_GRAFANA_URL"]
