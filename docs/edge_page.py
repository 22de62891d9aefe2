"""The generated part of docs/reference/gateway.md: every table and field of the gateway's configuration."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from settings_page import default_of, meaning_of

from qytet_edge.config import SECTIONS
from qytet_edge.inbox import kinds
from qytet_edge.inbox.modbus.maps import Map, shipped_maps
from qytet_edge.rules.config import RuleConfig

__all__ = ["page", "tables"]

_HEAD = "| field | default | meaning |\n|---|---|---|\n"


def tables() -> Iterator[tuple[str, type[BaseModel]]]:
    """Each table's heading and model; inner tables follow the first that has them."""
    seen: set[tuple[str, type[BaseModel]]] = set()
    for name, section in SECTIONS.items():
        yield from _with_inner(f"`[{name}]`", name, section, seen)
    for table, known in (("source", kinds.SOURCES), ("output", kinds.OUTPUTS)):
        for kind in known:
            heading = f'`[[{table}]]` with `kind = "{kind}"`'
            yield from _with_inner(heading, table, kinds.model(known, kind), seen)
    yield from _with_inner("`[[rule]]`", "rule", RuleConfig, seen)
    yield from _with_inner("A register map", "", Map, seen)


def page() -> str:
    """A heading, what it is, and a table of its fields, for each table of the file; then the maps that are shipped."""
    parts = []
    for heading, model in tables():
        about = " ".join((model.__doc__ or "").split())
        fields = {name: field for name, field in model.model_fields.items() if name != "kind"}
        order = sorted(fields, key=lambda name: name != "name")
        rows = "".join(_row(fields[name].alias or name, fields[name]) for name in order)
        parts.append(f"\n### {heading}\n\n{about}\n\n{_HEAD}{rows}")
    maps = "".join(f"- `{name}`\n" for name in shipped_maps())
    return "".join(parts) + f"\n### Register maps that are shipped\n\n{maps}"


def _with_inner(
    heading: str, path: str, model: type[BaseModel], seen: set[tuple[str, type[BaseModel]]]
) -> Iterator[tuple[str, type[BaseModel]]]:
    yield heading, model
    for name, field in model.model_fields.items():
        inner = list(_models(field.annotation))
        for found in inner:
            below = f"{path}.{field.alias or name}" if path else f"{field.alias or name} of a map"
            if (below, found) not in seen:
                seen.add((below, found))
                yield from _with_inner(f"`{below}`", below, found, seen)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models within a type: of a list, a table of tables, an optional one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _row(name: str, field: FieldInfo) -> str:
    if next(_models(field.annotation), None):
        default = "(required)" if field.is_required() else ""
        return f"| `{name}` | {default} | {meaning_of(field)} A table of its own: see below. |\n"
    return f"| `{name}` | {_default(field)} | {meaning_of(field)} |\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(required)"
    if field.default is PydanticUndefined or field.default in ((), {}):
        return "(empty)"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, tuple):
        return f"`{list(field.default)}`".replace("'", '"')
    return default_of(field)
