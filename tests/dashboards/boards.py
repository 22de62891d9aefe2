"""The generated dashboards and alert rules as the bench reads them: panels, targets, variables, annotations, rules."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.dashboards.grafana.variables import ALL, Value, Variable

PROVISIONED = Path(__file__).parents[2] / "dashboards" / "qytet_dashboards" / "provisioned"
DATASOURCE = {"type": "grafana-postgresql-datasource", "uid": "qytet"}
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Panel:
    """A panel of a board; `shows_nothing` are kinds that ask no database."""

    board: str
    json: Json

    @property
    def name(self) -> str:
        """Board, number and title: how a failure names it."""
        return f"{self.board}/{self.json.get('id')}-{self.json.get('title', '')}"

    @property
    def type(self) -> str:
        """Grafana's name of the visualisation."""
        return str(self.json["type"])

    @property
    def targets(self) -> list[Json]:
        """Its queries, hidden ones left out."""
        return [target for target in self.json.get("targets") or [] if not target.get("hide")]

    @property
    def options(self) -> Json:
        """The visualisation's options."""
        return self.json.get("options") or {}

    @property
    def defaults(self) -> Json:
        """What holds for every field."""
        return (self.json.get("fieldConfig") or {}).get("defaults") or {}

    @property
    def overrides(self) -> list[Json]:
        """What holds for some fields."""
        return list((self.json.get("fieldConfig") or {}).get("overrides") or [])


@dataclass(frozen=True)
class Board:
    """A dashboard."""

    json: Json

    @property
    def uid(self) -> str:
        """The dashboard's uid, which ends with its language."""
        return str(self.json["uid"])

    @property
    def bare(self) -> str:
        """The uid without `qytet-` and its language."""
        return self.uid.removeprefix("qytet-").rpartition("-")[0]

    @cached_property
    def panels(self) -> list[Panel]:
        """Every panel, those in collapsed rows included."""
        return [Panel(self.uid, panel) for panel in _flat(self.json.get("panels") or [])]

    @cached_property
    def variables(self) -> list[Json]:
        """The variables in the order in which they depend on each other."""
        return list((self.json.get("templating") or {}).get("list") or [])

    @cached_property
    def annotations(self) -> list[Json]:
        """The annotations of ours (Grafana's own are built in)."""
        found = (self.json.get("annotations") or {}).get("list") or []
        return [one for one in found if not one.get("builtIn")]

    def opening(self) -> list[Variable]:
        """The variables as the dashboard opens: All where there is All, else what is chosen."""
        return [_variable(model) for model in self.variables]


def _flat(panels: list[Json]) -> Iterator[Json]:
    for panel in panels:
        if panel["type"] == "row":
            yield from panel.get("panels") or []
        else:
            yield panel


def _variable(model: Json) -> Variable:
    options = tuple(str(option["value"]) for option in model.get("options") or [] if option["value"] != ALL)
    return Variable(
        name=str(model["name"]),
        value=_chosen(model, options),
        multi=bool(model.get("multi")),
        include_all=bool(model.get("includeAll")),
        all_value=str(model.get("allValue") or ""),
        options=options,
    )


def _chosen(model: Json, options: tuple[str, ...]) -> Value:
    if model.get("includeAll"):
        return ALL
    current = (model.get("current") or {}).get("value")
    if current not in (None, ""):
        return list(current) if isinstance(current, list) else str(current)
    if model["type"] == "constant":
        return str(model["query"])
    selected = [str(option["value"]) for option in model.get("options") or [] if option.get("selected")]
    return next(iter([*selected, *options, str(model.get("query") or "")]))


@cache
def boards() -> tuple[Board, ...]:
    """Every generated dashboard, by uid."""
    files = sorted((PROVISIONED / "dashboards").rglob("*.json"))
    return tuple(Board(json.loads(file.read_text(encoding="utf-8"))) for file in files)


def twins() -> list[tuple[str, list[tuple[Board, Panel]]]]:
    """Every panel by its name, with the boards of all languages in which it stands: they differ in words only."""
    found: dict[str, list[tuple[Board, Panel]]] = {}
    for board in boards():
        for panel in board.panels:
            found.setdefault(f"{board.bare}/{panel.json['id']}", []).append((board, panel))
    return list(found.items())


@cache
def rules() -> tuple[Json, ...]:
    """Every alert rule of the provisioning files, with its group's and folder's names put in."""
    found = []
    for file in sorted((PROVISIONED / "alerting").glob("*.yaml")):
        for group in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("groups") or []:
            found += [
                {**rule, "group": group["name"], "folder": group.get("folder")} for rule in group["rules"]
            ]
    return tuple(found)
