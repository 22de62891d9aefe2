"""When two dashboards say the same, and how they differ: by content, whatever Grafana adds of its own.

Grafana sets `id` and `version`; its editor writes defaults out (empty lists, false, zero), puts its own annotation
layer in and stamps panels with the plugin's version. None of that is a difference.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["ABSENT", "Change", "differences", "digest", "normalised"]

ABSENT = "(absent)"
Json = dict[str, Any]

_SERVERS_OWN = frozenset({"id", "version", "iteration"})  # of a dashboard; set by Grafana
_STAMPS = frozenset({"pluginVersion"})  # of a panel; set by Grafana's editor
# What Grafana takes where a key is absent, by key: dashboard schema of Grafana 11.
_DEFAULTS: Json = {
    "fiscalYearStartMonth": 0,
    "graphTooltip": 0,
    "hide": 0,
    "liveNow": False,
    "preload": False,
    "style": "dark",
    "transparent": False,
    "skipUrlSync": False,
    "includeAll": False,
    "multi": False,
    "isPaused": False,
    "disableResolveMessage": False,
    "intervalMs": 1000,
    "maxDataPoints": 43200,
    "relativeTimeRange": {"from": 0, "to": 0},
    "continue": False,
}
_NAMES = ("refId", "uid", "name", "title")  # what tells the members of a list apart, first that fits


@dataclass(frozen=True)
class Change:
    """One field that differs: its path, what the server has and what the files want."""

    path: str
    have: Any
    want: Any


def normalised(dashboard: Json) -> Json:
    """A dashboard without what Grafana sets or adds; the given one stays as it is."""
    kept = {key: value for key, value in dashboard.items() if key not in _SERVERS_OWN}
    pruned: Json = _pruned(kept) or {}
    layers = pruned.get("annotations", {}).get("list", [])
    if layers:
        pruned["annotations"] = _pruned({"list": [layer for layer in layers if not _built_in(layer)]})
    return {key: value for key, value in pruned.items() if not _empty(value)}


def _built_in(layer: object) -> bool:
    return isinstance(layer, dict) and layer.get("builtIn") == 1


def _pruned(value: Any) -> Any:
    """A value without empty members, defaults and stamps of dictionaries, at any depth."""
    if isinstance(value, list):
        return [_pruned(member) for member in value]
    if not isinstance(value, dict):
        return value
    inner = ((key, _pruned(member)) for key, member in value.items() if key not in _STAMPS)
    return {key: member for key, member in inner if not _empty(member) and not _default(key, member)}


def _empty(value: object) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)


def _default(key: str, value: object) -> bool:
    return key in _DEFAULTS and (value == _DEFAULTS[key])


def digest(folder: str, dashboard: Json) -> str:
    """128 bits of SHA-256 over a folder's uid and a dashboard's content, as 32 hexadecimal digits."""
    text = json.dumps(
        [folder, normalised(dashboard)], sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def differences(have: Any, want: Any, path: str = "") -> Iterator[Change]:
    """Every field in which two values differ, both already normalised."""
    if isinstance(have, dict) and isinstance(want, dict):
        for key in sorted(have.keys() | want.keys(), key=str):
            below = f"{path}.{key}" if path else str(key)
            yield from differences(have.get(key, ABSENT), want.get(key, ABSENT), below)
    elif isinstance(have, list) and isinstance(want, list):
        yield from _of_lists(have, want, path)
    elif have != want or isinstance(have, bool) != isinstance(want, bool):
        yield Change(path, have, want)


def _of_lists(have: list[Any], want: list[Any], path: str) -> Iterator[Change]:
    name = next((name for name in _NAMES if _names_all(name, have) and _names_all(name, want)), None)
    if name is None:
        for index in range(max(len(have), len(want))):
            yield from differences(_at(have, index), _at(want, index), f"{path}[{index}]")
        return
    before, after = {member[name]: member for member in have}, {member[name]: member for member in want}
    for key in dict.fromkeys([*before, *after]):
        yield from differences(before.get(key, ABSENT), after.get(key, ABSENT), f"{path}[{key}]")
    if list(before) != list(after) and before.keys() == after.keys():
        yield Change(f"{path}(order)", list(before), list(after))


def _names_all(name: str, members: list[Any]) -> bool:
    """Whether each member is a dictionary with this name as text, no two the same."""
    names = [member.get(name) if isinstance(member, dict) else None for member in members]
    return all(isinstance(each, str) for each in names) and len(set(names)) == len(names)


def _at(members: list[Any], index: int) -> Any:
    return members[index] if index < len(members) else ABSENT
