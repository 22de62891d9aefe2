"""Reads TOML 1.0 that a stranger may have written, and writes tables so that what is read back is equal."""

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["from_toml", "to_toml"]

MOST_CHARACTERS = 1_000_000

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def from_toml(text: str) -> dict[str, Any]:
    """The tables of a text. Raises ValueError if it is no TOML, too long or too deep, or a number is inf or nan."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"it has {len(text):,} characters, and {MOST_CHARACTERS:,} may be read")
    try:
        return tomllib.loads(text, parse_float=_finite)
    except RecursionError:
        raise ValueError("its tables and arrays are nested too deeply") from None


def to_toml(tables: Mapping[str, Any]) -> str:
    """TOML of nested tables of plain values; None is left out, as TOML has none."""
    return "\n".join(_table(tables, ())).strip("\n") + "\n"


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number that could be meant here")
    return number


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Plain values first, then tables, then lists of tables: TOML wants it so."""
    for key, value in table.items():
        if value is not None and not _is_table(value) and not _is_tables(value):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        place = (*path, _key(key))
        if _is_table(value):
            yield f"\n[{'.'.join(place)}]"
            yield from _table(value, place)
        elif _is_tables(value):
            for row in value:
                yield f"\n[[{'.'.join(place)}]]"
                yield from _table(row, place)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _key(key: str) -> str:
    return key if _BARE.match(key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # TOML has one control character more than JSON.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    return repr(value)  # integers and floats; inf and nan are TOML's own words
