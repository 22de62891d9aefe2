"""The names under which a panel shows its fields, and what the few transformations that we know do to them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.dashboards.grafana.frames import TIME, Field, Frame

_TEMPLATE = re.compile(
    r"\$\{__field\.(labels|name|displayName)(?:\.(\w+)|\[\"([^\"]+)\"\])?\}|\$\{__series\.name\}"
)


class UnknownTransformationError(ValueError):
    """A transformation that the bench cannot follow."""


def display_name(one: Field, frames: Sequence[Frame]) -> str:
    """The name that Grafana gives a field: its own, then the value of the only label, or all labels."""
    if one.kind == TIME and not one.labels:
        return one.name
    parts = [one.name] if one.name and one.name != "Value" else []
    if one.labels:
        keys = {key for frame in frames for field in frame.fields for key in field.labels}
        parts.append(next(iter(one.labels.values())) if len(keys) == 1 else _all_labels(one.labels))
    return " ".join(part for part in parts if part) or one.name


def _all_labels(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{key}="{labels[key]}"' for key in sorted(labels)) + "}"


def templated(template: str, one: Field, frames: Sequence[Frame]) -> str:
    """A `displayName` with its field's labels and names put in."""

    def put(found: re.Match[str]) -> str:
        if found[1] == "labels" and (found[2] or found[3]):
            return one.labels.get(found[2] or found[3], found[0])
        if found[1] == "labels":
            return _all_labels(one.labels)
        return one.name if found[1] == "name" else display_name(one, frames)

    return _TEMPLATE.sub(put, template)


def transformed(frames: Sequence[Frame], transformations: Iterable[Mapping[str, Any]]) -> list[Frame]:
    """The frames after a panel's transformations, as far as columns and names go.

    Raises:
        UnknownTransformationError: one that is not known here.
    """
    found = list(frames)
    for step in transformations:
        if step.get("disabled"):
            continue
        if (apply := _STEPS.get(step["id"])) is None:
            raise UnknownTransformationError(step["id"])
        found = apply(found, step.get("options") or {})
    return found


def _organize(frames: list[Frame], options: Mapping[str, Any]) -> list[Frame]:
    names = {name: new for name, new in (options.get("renameByName") or {}).items() if new}
    hidden = {name for name, is_hidden in (options.get("excludeByName") or {}).items() if is_hidden}
    known = {_known_as(one, frames) for frame in frames for one in frame.fields}
    asked = set(names) | hidden | set(options.get("indexByName") or {})
    if strange := asked - known:
        raise UnknownTransformationError(
            f"organize names {sorted(strange)}, but there is only {sorted(known)}"
        )
    return [
        replace(
            frame,
            fields=tuple(
                replace(one, name=names.get(_known_as(one, frames), one.name), labels={})
                if _known_as(one, frames) in names
                else one
                for one in frame.fields
                if _known_as(one, frames) not in hidden
            ),
        )
        for frame in frames
    ]


def _known_as(one: Field, frames: Sequence[Frame]) -> str:
    return display_name(one, frames)


def _merge(frames: list[Frame], options: Mapping[str, Any]) -> list[Frame]:
    """One frame with every column of all; rows are joined by what they share, which is not followed here."""
    fields = {one.name: one for frame in frames for one in frame.fields}
    length = max((frame.rows for frame in frames), default=0)
    padded = [replace(one, values=one.values + (None,) * (length - len(one))) for one in fields.values()]
    return [replace(frames[0], fields=tuple(padded))] if frames else []


def _join(frames: list[Frame], options: Mapping[str, Any]) -> list[Frame]:
    """`joinByField`: one frame with a row a key; a key that a frame lacks is null there, unless the join is inner."""
    name = options.get("byField")
    keyed = [
        (one, frame) for frame in frames for one in frame.fields if name in (one.name, _known_as(one, frames))
    ]
    if len(keyed) < len(frames):
        raise UnknownTransformationError(f"joinByField: not every query has {name!r}")
    keys = list(dict.fromkeys(value for one, _ in keyed for value in one.values))
    if options.get("mode") == "inner":
        keys = [key for key in keys if all(key in one.values for one, _ in keyed)]
    fields = [replace(keyed[0][0], values=tuple(keys))]
    for key, frame in keyed:
        rows = {value: row for row, value in enumerate(key.values)}
        fields += [
            replace(one, values=tuple(one.values[rows[value]] if value in rows else None for value in keys))
            for one in frame.fields
            if one is not key
        ]
    return [replace(frames[0], fields=tuple(fields))]


def _as_is(frames: list[Frame], options: Mapping[str, Any]) -> list[Frame]:
    return frames


def _limit(frames: list[Frame], options: Mapping[str, Any]) -> list[Frame]:
    most = int(options.get("limitField", 10))
    return [
        replace(frame, fields=tuple(replace(one, values=one.values[:most]) for one in frame.fields))
        for frame in frames
    ]


def _rename_by_regex(frames: list[Frame], options: Mapping[str, Any]) -> list[Frame]:
    pattern, new = str(options["regex"]), re.sub(r"\$(\d)", r"\\\1", str(options["renamePattern"]))
    return [
        replace(
            frame,
            fields=tuple(
                replace(one, name=re.sub(pattern, new, display_name(one, frames), count=1), labels={})
                if re.search(pattern, display_name(one, frames))
                else one
                for one in frame.fields
            ),
        )
        for frame in frames
    ]


def _prepare(frames: list[Frame], options: Mapping[str, Any]) -> list[Frame]:
    """`prepareTimeSeries`: series one frame each, which changes no name."""
    return frames


_STEPS: Mapping[str, Callable[[list[Frame], Mapping[str, Any]], list[Frame]]] = {
    "organize": _organize,
    "merge": _merge,
    "joinByField": _join,
    "limit": _limit,
    "sortBy": _as_is,
    "prepareTimeSeries": _prepare,
    "renameByRegex": _rename_by_regex,
}
