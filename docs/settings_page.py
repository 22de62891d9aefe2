"""The generated part of docs/reference/settings.md: every setting as qytet.settings declares it."""

from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from qytet.settings import Settings

__all__ = ["default_of", "meaning_of", "page", "rows"]

_HEAD = "| setting | environment | default | meaning |\n|---|---|---|---|\n"


def rows() -> dict[str, FieldInfo]:
    """Every setting by its dotted name; sections are taken apart."""
    found: dict[str, FieldInfo] = {}
    for name, field in Settings.model_fields.items():
        section = _section(field)
        if section is None:
            found[name] = field
        else:
            found |= {f"{name}.{inner}": info for inner, info in section.model_fields.items()}
    return found


def page() -> str:
    """A table for the top level and one for each section."""
    parts = ["\n### Top level\n\n" + _HEAD]
    for name, field in rows().items():
        section, dot, key = name.rpartition(".")
        heading = f"\n### `[{section}]`\n\n"
        if dot and not any(heading in part for part in parts):
            about = (_section(Settings.model_fields[section]) or BaseModel).__doc__ or ""
            parts.append(f"{heading}{about}\n\n{_HEAD}")
        parts.append(
            f"| `{key}` | `QYTET_{name.replace('.', '__').upper()}` | {default_of(field)} | {meaning_of(field)} |\n"
        )
    return "".join(parts)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def default_of(field: FieldInfo) -> str:
    """A default as a table shows it."""
    value: Any = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is PydanticUndefined:
        return "(required)"
    if value is None or value == "":
        return "(empty)"
    return f"`{value.as_posix() if isinstance(value, Path) else value}`"


def meaning_of(field: FieldInfo) -> str:
    """What a field means, with its choices and bounds."""
    text = (field.description or "").replace("|", "\\|")
    bounds = [f"{_SIGNS[sign]} {value}" for sign, value in _limits(field) if sign in _SIGNS]
    choices = [f"`{choice}`" for choice in get_args(field.annotation) if isinstance(choice, str)]
    extra = " ".join(
        ([f"One of {', '.join(choices)}."] if choices else [])
        + ([f"{_sentence(' and '.join(bounds))}."] if bounds else [])
    )
    secret = " Secret." if field.annotation is SecretStr else ""
    return f"{text}{' ' + extra if extra else ''}{secret}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


_SIGNS = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
    "min_length": "length at least",
    "max_length": "at most",
}


def _limits(field: FieldInfo) -> list[tuple[str, Any]]:
    return [
        (sign, getattr(limit, sign)) for limit in field.metadata for sign in _SIGNS if hasattr(limit, sign)
    ]
