"""How two dashboards differ, panel by panel: added, removed, changed fields, and what belongs to no panel."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from qytet_dashboards.grafana.content import ABSENT, Change, differences, normalised

__all__ = ["PanelDifference", "compare"]

Json = dict[str, Any]


@dataclass(frozen=True)
class PanelDifference:
    """A panel that differs; `panel` names it by title and id, or "dashboard" for what belongs to no panel."""

    panel: str
    how: Literal["added", "removed", "changed"]  # as the files would change the server
    changes: tuple[Change, ...] = field(default=())


def compare(have: Json, want: Json) -> tuple[PanelDifference, ...]:
    """What a push of `want` would change in `have`; empty if they say the same."""
    before, after = normalised(have), normalised(want)
    old, new = dict(_panels(before)), dict(_panels(after))
    return tuple(_dashboard(before, after)) + tuple(_each(old, new))


def _dashboard(before: Json, after: Json) -> Iterator[PanelDifference]:
    changes = tuple(differences(_without_panels(before), _without_panels(after)))
    if changes:
        yield PanelDifference("dashboard", "changed", changes)


def _each(old: dict[str, Json], new: dict[str, Json]) -> Iterator[PanelDifference]:
    for key in dict.fromkeys([*old, *new]):
        if key not in new:
            yield PanelDifference(_named(old[key]), "removed")
        elif key not in old:
            yield PanelDifference(_named(new[key]), "added")
        elif changes := tuple(differences(old[key], new[key])):
            yield PanelDifference(_named(new[key]), "changed", changes)


def _panels(dashboard: Json) -> Iterator[tuple[str, Json]]:
    """Every panel by a key that stays: its id, else its place. Panels of collapsed rows bear their row's title."""
    for key, panel in _keyed(dashboard.get("panels", []), "#"):
        yield key, _without_panels(panel)
        for inner_key, inner in _keyed(panel.get("panels", []), f"{key}/"):
            yield inner_key, {**inner, "row": panel.get("title", "")}


def _keyed(panels: object, prefix: str) -> Iterator[tuple[str, Json]]:
    for place, panel in enumerate(panels if isinstance(panels, list) else []):
        if isinstance(panel, dict):
            yield (f"id {panel['id']}" if "id" in panel else f"{prefix}{place}"), panel


def _without_panels(thing: Json) -> Json:
    return {key: value for key, value in thing.items() if key != "panels"}


def _named(panel: Json) -> str:
    title = panel.get("title") or f"({panel.get('type', ABSENT)})"
    return f"{title} [{panel['id']}]" if "id" in panel else str(title)
