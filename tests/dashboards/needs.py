"""What each visualisation needs of its frames; every function gives the problems that it finds, none if all is well."""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from tests.dashboards.boards import Json, Panel
from tests.dashboards.grafana.display import display_name, templated
from tests.dashboards.grafana.frames import BOOLEAN, JSON, NUMBER, TEXT, TIME, Field, Frame

MOST_ROWS = 20_000
ALBANIA = ((39.0, 43.0), (19.0, 22.0))
QUIET = ("text", "dashlist", "alertlist", "news", "row")
"""Kinds of panels that ask no database."""
Problems = list[str]


def problems(panel: Panel, frames: Sequence[Frame]) -> Problems:
    """Everything that would make the panel show an error, nothing, or something wrong."""
    if panel.type in QUIET:
        return []
    found = _generally(frames)
    if any(not frame.rows for frame in frames) or not frames:
        return [*found, "no rows"]
    check = _KINDS.get(panel.type)
    if check is None:
        return [*found, f"the bench does not know the visualisation {panel.type!r}"]
    return [*found, *check(panel, frames), *_names(panel, frames)]


def _generally(frames: Sequence[Frame]) -> Problems:
    found = [notice for frame in frames for notice in frame.notices]
    found += [f"{frame.rows} rows are too many" for frame in frames if frame.rows > MOST_ROWS]
    return found + types(frames)


def types(frames: Iterable[Frame]) -> Problems:
    """Columns of types that Grafana shows badly or not at all."""
    found: Problems = []
    for one in (one for frame in frames for one in frame.fields):
        if one.type == "numeric":
            found.append(f"{one.name} is numeric: make it double precision or bigint")
        if one.kind == JSON:
            found.append(f"{one.name} is json, which no panel of ours shows")
        if one.name == "time" and one.kind != TIME:
            found.append(f"time is {one.kind}")
    return found


def _over_time(panel: Panel, frames: Sequence[Frame]) -> Problems:
    found = [*_has_time(frames), *_has_values(frames, NUMBER)]
    texts = {one.name for frame in frames for one in frame.of(TEXT)}
    if texts:
        found.append(f"text columns {sorted(texts)} in a table: ask for time_series, or leave them out")
    return found


def _states(panel: Panel, frames: Sequence[Frame]) -> Problems:
    bars = sum(len(frame.of(NUMBER, TEXT, BOOLEAN)) for frame in frames)
    page = panel.options.get("perPage", 20)
    beyond = [f"{bars} bars, and only {page} on its first page"] if bars > page else []
    return [*_has_time(frames), *_has_values(frames, NUMBER, TEXT, BOOLEAN), *beyond, *_words(panel, frames)]


def _words(panel: Panel, frames: Sequence[Frame]) -> Problems:
    """Each state has a word of its own; by threshold, Grafana would show the threshold's number instead."""
    mappings = panel.defaults.get("mappings") or []
    if not mappings:
        return []
    known = {code for mapping in mappings for code in mapping["options"]}
    codes = {
        f"{value:g}"
        for frame in frames
        for one in frame.of(NUMBER)
        for value in one.values
        if value is not None
    }
    found = [f"the state {code} has no word" for code in sorted(codes - known)]
    by_threshold = (panel.defaults.get("color") or {}).get("mode") == "thresholds"
    return [*found, "states are coloured by threshold, which hides their words"] if by_threshold else found


def _has_time(frames: Sequence[Frame]) -> Problems:
    found: Problems = []
    for frame in frames:
        times = frame.of(TIME)
        if not times:
            found.append("no time column")
            continue
        values = times[0].values
        if None in values:
            found.append(f"null in {times[0].name}")
        elif any(later < earlier for earlier, later in pairwise(values)):
            found.append(f"{times[0].name} is not ascending")
    return found


def _has_values(frames: Iterable[Frame], *kinds: str) -> Problems:
    """Every frame has a column of these kinds, and somewhere a value."""
    found: Problems = []
    for frame in frames:
        columns = frame.of(*kinds)
        if not columns:
            found.append(f"no {' or '.join(kinds)} column among {[one.name for one in frame.fields]}")
        elif all(value is None for one in columns for value in one.values):
            found.append(f"nothing but null in {[one.name for one in columns]}")
    return found


def _reduced(panel: Panel, frames: Sequence[Frame]) -> Problems:
    """stat, gauge, bargauge, piechart: numbers, or the fields that the reduction names."""
    options = panel.options.get("reduceOptions") or {}
    wanted = options.get("fields") or ""
    if wanted:
        pattern = (
            re.compile(wanted.strip("/")) if wanted.startswith("/") else re.compile(f"^{re.escape(wanted)}$")
        )
        chosen = [
            one for frame in frames for one in frame.fields if pattern.search(display_name(one, frames))
        ]
        if not chosen:
            return [f"reduceOptions.fields {wanted!r} matches nothing"]
        return (
            []
            if any(v is not None for one in chosen for v in one.values)
            else [f"nothing but null in {wanted!r}"]
        )
    found = _has_values(frames, NUMBER)
    rows = max(frame.rows for frame in frames)
    if options.get("values") and rows > 100 and not options.get("limit"):
        found.append(f"{rows} rows are shown as a number each: set a limit")
    return found


def _bars(panel: Panel, frames: Sequence[Frame]) -> Problems:
    found = _has_values(frames, NUMBER)
    names = _all_names(panel, frames)
    if (x := panel.options.get("xField")) and x not in names:
        found.append(f"xField {x!r} is no column")
    if not x and not any(frame.of(TEXT, TIME) for frame in frames):
        found.append("no text or time column for the x axis")
    return found


def _table(panel: Panel, frames: Sequence[Frame]) -> Problems:
    names = [display_name(one, frames) for frame in frames for one in frame.fields]
    twins = sorted({name for name in names if names.count(name) > 1}) if len(frames) == 1 else []
    return [f"two columns are called {name!r}" for name in twins] + _emptiness(panel, frames)


def _emptiness(panel: Panel, frames: Sequence[Frame]) -> Problems:
    """A cell without a value shows the panel's sentence about no rows, unless its column says something else."""
    if not panel.defaults.get("noValue"):
        return []
    said: dict[Any, set[str]] = {}
    for override in panel.overrides:
        ids = {one["id"] for one in override["properties"]}
        said.setdefault(override["matcher"].get("options"), set()).update(ids)
    return [
        f"empty cells of {one.name!r} say {panel.defaults['noValue']!r}"
        for frame in frames
        for one in frame.fields
        if any(value in (None, "") for value in one.values)
        and not said.get(one.name, set()) & {"noValue", "custom.hidden"}
    ]


def _map(panel: Panel, frames: Sequence[Frame]) -> Problems:
    found: Problems = []
    layers = [
        layer for layer in panel.options.get("layers") or [] if layer.get("type") in ("markers", "heatmap")
    ]
    if not layers:
        found.append("a map without a layer of markers")
    for layer in layers:
        ref = (layer.get("filterData") or {}).get("options")
        shown = [frame for frame in frames if not ref or frame.ref_id == ref]
        found += _layer(layer, shown) if shown else [f"layer {layer.get('name')!r} has no query {ref!r}"]
    return found


def _layer(layer: Json, frames: Sequence[Frame]) -> Problems:
    fields = {one.name: one for frame in frames for one in frame.fields}
    location = layer.get("location") or {}
    found: Problems = []
    axes = (("latitude", ("latitude", "lat")), ("longitude", ("longitude", "lon", "lng")))
    for (axis, names), bounds in zip(axes, ALBANIA, strict=True):
        name = (
            location.get(axis)
            if location.get("mode") == "coords"
            else next((n for n in names if n in fields), None)
        )
        found += _coordinate(axis, fields.get(str(name)), bounds)
    style = (layer.get("config") or {}).get("style") or {}
    for part, kinds in (("color", (NUMBER, TEXT)), ("size", (NUMBER,)), ("text", (NUMBER, TEXT, TIME))):
        if name := (style.get(part) or {}).get("field"):
            one = fields.get(name)
            if one is None or one.kind not in kinds:
                found.append(f"{part} is shown by {name!r}, which is {one.kind if one else 'no column'}")
    if not any(
        one.kind == NUMBER
        for name, one in fields.items()
        if name not in ("lat", "lon", "latitude", "longitude")
    ):
        found.append("no number beside the coordinates")
    return found


def _coordinate(axis: str, one: Field | None, bounds: tuple[float, float]) -> Problems:
    if one is None or one.kind != NUMBER:
        return [f"{axis} is {'no column' if one is None else one.kind}"]
    low, high = bounds
    wrong = [value for value in one.values if value is None or not low <= value <= high]
    return [f"{axis} {wrong[0]} is not in Albania"] if wrong else []


def _logs(panel: Panel, frames: Sequence[Frame]) -> Problems:
    return [*_has_time(frames), *_has_values(frames, TEXT)]


def _histogram(panel: Panel, frames: Sequence[Frame]) -> Problems:
    return _has_values(frames, NUMBER)


def _xy(panel: Panel, frames: Sequence[Frame]) -> Problems:
    return [] if all(len(frame.of(NUMBER)) >= 2 for frame in frames) else ["fewer than two number columns"]


_KINDS: dict[str, Callable[[Panel, Sequence[Frame]], Problems]] = {
    "timeseries": _over_time,
    "trend": _over_time,
    "heatmap": _over_time,
    "state-timeline": _states,
    "status-history": _states,
    "stat": _reduced,
    "gauge": _reduced,
    "bargauge": _reduced,
    "piechart": _reduced,
    "barchart": _bars,
    "table": _table,
    "geomap": _map,
    "logs": _logs,
    "histogram": _histogram,
    "xychart": _xy,
}
_FIELD_LINK = re.compile(r"\$\{__data\.fields(?:\.(\w+)|\[\"?([^\"\]]+)\"?\])")
_LABEL = re.compile(r"\$\{__field\.labels(?:\.(\w+)|\[\"([^\"]+)\"\])")


def _all_names(panel: Panel, frames: Sequence[Frame]) -> set[str]:
    """Every name under which Grafana would let an override or a link find a field."""
    fields = [one for frame in frames for one in frame.fields]
    names = {one.name for one in fields} | {display_name(one, frames) for one in fields}
    if template := panel.defaults.get("displayName"):
        names |= {templated(str(template), one, frames) for one in fields}
    return names


def _names(panel: Panel, frames: Sequence[Frame]) -> Problems:
    """Overrides, links and display names speak of fields that are there."""
    names = _all_names(panel, frames)
    found = [
        problem for override in panel.overrides for problem in _matcher(override["matcher"], names, frames)
    ]
    said = str([panel.defaults, panel.overrides, panel.json.get("links")])
    found += [
        f"a link names {a or b!r}, which is no column"
        for a, b in _FIELD_LINK.findall(said)
        if (a or b) not in names
    ]
    labels = {label for frame in frames for one in frame.fields for label in one.labels}
    found += [
        f"displayName names the label {a or b!r}" for a, b in _LABEL.findall(said) if (a or b) not in labels
    ]
    return found


def _matcher(matcher: Json, names: set[str], frames: Sequence[Frame]) -> Problems:
    kind, options = matcher["id"], matcher.get("options")
    if kind == "byName" and options not in names:
        return [f"an override is for {options!r}, which is not among {sorted(names)}"]
    if kind == "byNames":
        wanted: list[Any] = (options or {}).get("names") or []
        return [f"an override is for {name!r}, which is no column" for name in wanted if name not in names]
    if kind == "byRegexp" and not any(re.search(str(options).strip("/"), name) for name in names):
        return [f"an override's expression {options!r} matches nothing"]
    if kind == "byFrameRefID" and options not in {frame.ref_id for frame in frames}:
        return [f"an override is for the query {options!r}"]
    return []
