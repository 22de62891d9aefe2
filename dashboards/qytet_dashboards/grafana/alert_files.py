"""Grafana's file provisioning format for alerting, read into what its HTTP API takes.

The two differ: a file names a folder by its title and the API by uid, intervals are text in files and seconds in the
API, a rule's dashboard is a field in files and an annotation in the API, and files replace ${NAME} by the
environment's variable (by nothing if it is not set, which is noted) and $$ by $.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from qytet.errors import InputError

__all__ = ["Alerting", "Group", "in_seconds", "read", "seconds"]

Json = dict[str, Any]

_KNOWN = frozenset({"apiVersion", "groups", "contactPoints", "policies", "templates"})
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_PART = re.compile(r"(\d+)(ms|[smhdwy])")
_BRACED = re.compile(r"\$\$|\$\{(\w+)\}")
_ANY = re.compile(r"\$\$|\$\{(\w+)\}|\$([A-Za-z_]\w*)")
_PACES = frozenset({"group_wait", "group_interval", "repeat_interval"})  # durations of policies
# A rule's fields whose names are the same in files and in the API.
_SAME = (
    "uid",
    "title",
    "condition",
    "noDataState",
    "execErrState",
    "isPaused",
    "notification_settings",
    "record",
)


@dataclass(frozen=True)
class Group:
    """A group of alert rules as the API takes it: {title, folderUid, interval, rules}."""

    folder: str
    name: str
    json: Json = field(repr=False)


@dataclass(frozen=True)
class Alerting:
    """Everything below `alerting/`. Contact points hold secrets: none of it is in a repr."""

    groups: tuple[Group, ...] = ()
    contact_points: tuple[Json, ...] = field(default=(), repr=False)
    policies: Json | None = field(default=None, repr=False)
    templates: tuple[Json, ...] = field(default=(), repr=False)
    unset: tuple[str, ...] = ()  # variables of the environment that files refer to, in vain


class _Environment:
    """Replaces variables as Grafana does, and notes those that are not set."""

    def __init__(self) -> None:
        self.unset: set[str] = set()

    def fill(self, text: str, names: re.Pattern[str] = _ANY) -> str:
        """Text with ${NAME} (and $NAME) replaced and $$ by $."""
        return names.sub(self._value, text)

    def deep(self, value: Any) -> Any:
        """The same for every text within a value."""
        if isinstance(value, dict):
            return {key: self.deep(member) for key, member in value.items()}
        if isinstance(value, list):
            return [self.deep(member) for member in value]
        return self.fill(value) if isinstance(value, str) else value

    def _value(self, match: re.Match[str]) -> str:
        name = next((group for group in match.groups() if group), "")
        if name and name not in os.environ:
            self.unset.add(name)
        return os.environ.get(name, "") if name else "$"


def read(
    root: Path, folders: dict[str, str], *, contact_points: bool = False, policies: bool = False
) -> Alerting:
    """What `root`/alerting/*.yaml says; `folders` are titles by uid. Raises InputError, naming the file.

    Contact points, templates and policies only if wanted: what they lack in the environment is nobody's concern else.
    """
    environment = _Environment()
    groups: list[Group] = []
    points: list[Json] = []
    trees: list[Json] = []
    templates: list[Json] = []
    for path in sorted((root / "alerting").glob("*.y*ml")):
        found = _load(path)
        try:
            groups += [_group(each, folders, path, environment) for each in found.get("groups") or []]
            trees += [_policy(each, environment) for each in (found.get("policies") or []) if policies]
            if contact_points:
                points += _points(found.get("contactPoints") or [], environment)
                templates += found.get("templates") or []
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} is not in Grafana's format for alerting.", why=f"{type(error).__name__}: {error}"
            ) from error
    if len(trees) > 1:
        raise InputError(f"{root / 'alerting'} holds {len(trees)} trees of policies.", why="Grafana has one.")
    tree = trees[0] if trees else None
    return Alerting(tuple(groups), tuple(points), tree, tuple(templates), tuple(sorted(environment.unset)))


def _load(path: Path) -> Json:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read.", why=str(error)) from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no table.")
    if unknown := found.keys() - _KNOWN:
        raise InputError(
            f"{path} holds what a push cannot bring to Grafana: {', '.join(sorted(map(str, unknown)))}.",
            do="Keep it in Grafana's own provisioning folder, and out of this one.",
        )
    return found


def _group(group: Json, folders: dict[str, str], path: Path, environment: _Environment) -> Group:
    title, name = str(group["folder"]), str(group["name"])
    uid = next((uid for uid, known in folders.items() if known == title), "")
    if not uid:
        raise InputError(f"{path}: the folder {title!r} of the alert rules {name!r} is not in folders.json.")
    rules = [_rule(rule, uid, name, environment) for rule in group["rules"]]
    return Group(
        uid,
        name,
        {"title": name, "folderUid": uid, "interval": int(seconds(group["interval"])), "rules": rules},
    )


def _rule(rule: Json, folder: str, group: str, environment: _Environment) -> Json:
    made: Json = {
        "noDataState": "NoData",
        "execErrState": "Alerting",
    }  # what Grafana takes where a file is silent
    made |= {key: rule[key] for key in _SAME if rule.get(key) is not None}
    # Templates in annotations speak of $labels and $values: only ${NAME} is the environment's there.
    notes = {
        key: environment.fill(str(text), _BRACED) for key, text in (rule.get("annotations") or {}).items()
    }
    if dashboard := rule.get("dashboardUid"):
        notes |= {"__dashboardUid__": str(dashboard), "__panelId__": str(rule.get("panelId", 0))}
    made |= {
        "folderUID": folder,
        "ruleGroup": group,
        "for": _duration(rule.get("for", "0s")),
        "data": rule["data"],  # as it stands: Grafana expands nothing in queries, whose macros begin with $
        "annotations": notes,
        "labels": {key: environment.fill(str(text)) for key, text in (rule.get("labels") or {}).items()},
    }
    if keep := rule.get("keepFiringFor"):
        made["keep_firing_for"] = _duration(keep)
    if resolve := rule.get("missing_series_evals_to_resolve"):
        made["missingSeriesEvalsToResolve"] = resolve
    return made


def _duration(text: object) -> str:
    """In one spelling, as Grafana may write 90s as 1m30s."""
    return f"{int(seconds(text))}s"


def seconds(text: object) -> float:
    """Seconds of a duration as Prometheus writes it (1h30m), or of a number. Raises InputError."""
    said = str(text)
    if said.isdecimal():
        return float(said)
    if not re.fullmatch(rf"({_PART.pattern})+", said):
        raise InputError(f"{said!r} is no duration.", do="Write it as 30s, 5m or 1h30m.")
    return float(sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(said)))


def in_seconds(policy: Any) -> Any:
    """A policy, its routes, or a rule's notification settings with durations as seconds: Grafana writes 24h as 1d."""
    if isinstance(policy, list):
        return [in_seconds(each) for each in policy]
    if not isinstance(policy, dict):
        return policy
    return {
        key: seconds(each) if key in _PACES and each else in_seconds(each) for key, each in policy.items()
    }


def _points(points: list[Json], environment: _Environment) -> list[Json]:
    return [_point(point, receiver, environment) for point in points for receiver in point["receivers"]]


def _point(point: Json, receiver: Json, environment: _Environment) -> Json:
    return {
        "uid": receiver["uid"],
        "name": environment.fill(str(point["name"])),
        "type": receiver["type"],
        "settings": environment.deep(receiver["settings"]),
        "disableResolveMessage": bool(receiver.get("disableResolveMessage", False)),
    }


def _policy(policy: Json, environment: _Environment) -> Json:
    filled: Json = environment.deep({key: value for key, value in policy.items() if key != "orgId"})
    return filled
