"""Variables in a text: what Grafana's browser side puts in the place of `$name`, `[[name]]` and `${name:format}`.

Behaviour of the scenes library's interpolation and format registry, and of the SQL datasources' own way with a
variable that names no format.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

ALL = "$__all"
Value = str | list[str]

_REFERENCE = re.compile(
    r"\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}", re.ASCII
)


class UnknownFormatError(ValueError):
    """Grafana would log an error and take glob instead; here that is a mistake of the dashboard."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A dashboard's variable with what is chosen now: `ALL`, one value, or several."""

    name: str
    value: Value
    multi: bool = False
    include_all: bool = False
    all_value: str = ""
    options: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)

    def choose(self, value: Value) -> "Variable":
        """The variable with another choice."""
        return replace(self, value=value)

    @property
    def is_all(self) -> bool:
        """Whether All is chosen."""
        return self.value == ALL or (isinstance(self.value, list) and self.value[:1] == [ALL])


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A value of Grafana's own, such as `__interval`; a number is never quoted."""

    name: str
    value: str | int


def interpolate(text: str, variables: Iterable[Variable | BuiltIn], default: str = "sql") -> str:
    """The text with every known variable replaced; unknown ones stay as they stand.

    `default` is the format where none is named: `sql` as SQL datasources do it, `glob` elsewhere in a dashboard.
    """
    known = {variable.name: variable for variable in variables}

    def put(found: re.Match[str]) -> str:
        variable = known.get(found[1] or found[2] or found[4])
        if variable is None:
            return found[0]
        form = found[3] or found[6] or default
        return _built_in(variable, form) if isinstance(variable, BuiltIn) else _value(variable, form, known)

    return _REFERENCE.sub(put, text)


def references(text: str) -> set[str]:
    """Names of everything in a text that looks like a variable."""
    return {found[1] or found[2] or found[4] for found in _REFERENCE.finditer(text)}


def _value(variable: Variable, form: str, known: Mapping[str, Variable | BuiltIn]) -> str:
    if not variable.is_all:
        return _formatted(variable, variable.value, form)
    if not variable.all_value:
        return _formatted(variable, list(variable.options), form)
    if form == "text":
        return "All"
    if form == "queryparam":
        return f"var-{variable.name}={ALL}"
    return interpolate(variable.all_value, known.values())  # raw: no format touches a custom value of All


def _built_in(variable: BuiltIn, form: str) -> str:
    name, _, rest = form.partition(":")
    if name == "date":
        return _date(int(variable.value), rest or "iso")
    if name in ("sqlstring", "singlequote"):
        return _sqlstring(str(variable.value))
    return str(variable.value)


def _date(milliseconds: int, form: str) -> str:
    if form == "seconds":
        return str(round(milliseconds / 1000))
    if form == "ms":
        return str(milliseconds)
    if form != "iso":
        raise UnknownFormatError(f"dates as {form!r} are not known here")
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def _formatted(variable: Variable, value: Value, form: str) -> str:
    if form == "sql":
        return _own_way(variable, value)
    if form == "text":
        return " + ".join(variable.texts.get(one, one) for one in _listed(value))
    if form == "queryparam":
        return "&".join(f"var-{variable.name}={one}" for one in _listed(value))
    if (put := _FORMATS.get(form.partition(":")[0])) is None:
        raise UnknownFormatError(f"{variable.name} wants the format {form!r}, which Grafana does not know")
    return put(value)


def _own_way(variable: Variable, value: Value) -> str:
    """Without a format, an SQL datasource quotes lists and whatever may be one, and only doubles quotes elsewhere."""
    if isinstance(value, list):
        return ",".join(map(_literal, value))
    return _literal(value) if variable.multi or variable.include_all else value.replace("'", "''")


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _sqlstring(value: Value) -> str:
    """Quotes doubled; a double quote gets a backslash, which PostgreSQL would keep: no name of ours has one."""
    return ",".join(_literal(one).replace('"', '\\"') for one in _listed(value))


def _listed(value: Value) -> list[str]:
    return value if isinstance(value, list) else [value]


def _braced(value: Value) -> str:
    return "{" + ",".join(value) + "}" if isinstance(value, list) and len(value) > 1 else "".join(value)


_FORMATS: dict[str, Callable[[Value], str]] = {
    "raw": lambda value: ",".join(_listed(value)),
    "csv": lambda value: ",".join(_listed(value)),
    "pipe": lambda value: "|".join(_listed(value)),
    "glob": _braced,
    "json": lambda value: json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value,
    "sqlstring": _sqlstring,
    "singlequote": lambda value: ",".join("'" + one.replace("'", "\\'") + "'" for one in _listed(value)),
    "doublequote": lambda value: ",".join('"' + one.replace('"', '\\"') + '"' for one in _listed(value)),
}
