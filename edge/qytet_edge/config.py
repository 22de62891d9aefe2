"""The gateway's configuration: one TOML file, checked whole before anything starts; its own tables: `sections`.

Secrets are never in it: the broker's password comes from `password_file`, or from the credential
`broker_password` that systemd hands over ($CREDENTIALS_DIRECTORY). docs/reference/gateway.md is generated from it.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from qytet.errors import SettingsError
from qytet.settings import LogSettings
from qytet_edge.clock.config import ClockConfig
from qytet_edge.inbox import kinds
from qytet_edge.inbox.kinds import Context, OutputConfig, SourceConfig
from qytet_edge.rules.config import RuleConfig
from qytet_edge.sections import SECTIONS, GatewaySection, HealthSection, SpoolSection, UplinkSection
from qytet_edge.toml import from_toml

__all__ = [
    "CREDENTIAL",
    "DEFAULT_PATH",
    "SECTIONS",
    "Config",
    "load",
    "password",
    "path_in_force",
    "read",
    "read_and_try",
    "sample",
]

DEFAULT_PATH = Path("/etc/qytet-edge/qytet-edge.toml")
CREDENTIAL = "broker_password"
M = TypeVar("M", bound=BaseModel)
_VARIABLE = "QYTET_EDGE_CONFIG"
_TAKEN = ("health", "rules")
"""Sources that every gateway has."""
_SECRETS = ("password", "token", "secret", "passphrase")


@dataclass(frozen=True)
class Config:
    """The whole file, checked; `path` is where it was read from, `digest` the SHA-256 of the bytes that were read."""

    path: Path
    gateway: GatewaySection
    uplink: UplinkSection
    spool: SpoolSection
    clock: ClockConfig
    health: HealthSection
    log: LogSettings
    sources: tuple[SourceConfig, ...]
    outputs: tuple[OutputConfig, ...]
    rules: tuple[RuleConfig, ...]
    digest: str = ""

    @property
    def folder(self) -> Path:
        """Where relative paths of the file begin."""
        return self.path.parent

    @property
    def data_dir(self) -> Path:
        """Folder of the spool and the status socket."""
        return self.folder / self.gateway.data_dir

    def context(self, **more: Any) -> Context:
        """What plug-ins may know of this gateway; `more` as kinds.Context has it."""
        return Context(self.gateway.city, self.gateway.name, self.folder, self.data_dir, **more)

    def plain(self) -> dict[str, Any]:
        """Everything in force, as TOML and JSON can hold it; there are no secrets in it."""
        tables: dict[str, Any] = {name: _plain(getattr(self, name)) for name in SECTIONS}
        for table, rows in (("source", self.sources), ("output", self.outputs), ("rule", self.rules)):
            tables[table] = [_plain(row) for row in rows]
        return tables


def path_in_force(given: Path | None = None) -> Path:
    """The configuration's path: as given, else what QYTET_EDGE_CONFIG names, else the usual place."""
    return given or Path(os.environ.get(_VARIABLE) or DEFAULT_PATH)


def read(path: Path) -> Config:
    """Read and check the file. Raises SettingsError that names every mistake with its table and field."""
    try:
        read = path.read_bytes()
        text = read.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The gateway's configuration {path} cannot be read.",
            why=str(error),
            do=f"Make one from the sample (`qytet edge config sample`), or name it: --config or {_VARIABLE}.",
        ) from error
    return replace(load(text, path), digest=hashlib.sha256(read).hexdigest())


def read_and_try(path: Path) -> Config:
    """Read the file, and make every source and output of it once, which opens nothing: maps and keys are looked at.

    Raises SettingsError.
    """
    config = read(path)
    wrong = list(_unmakable(config))
    if wrong:
        lines = "\n".join(f"  {line}" for line in wrong)
        raise SettingsError(f"{path} is wrong:\n{lines}", do="`qytet edge doctor` looks at the wires, too.")
    return config


def load(text: str, path: Path) -> Config:
    """Check a configuration's text; `path` is where it lies, for messages and relative paths. Raises SettingsError."""
    try:
        tables = from_toml(text)
    except ValueError as error:
        raise SettingsError(f"{path} is not TOML.", why=str(error), do="Correct that line.") from error
    checked = _Checked(tables)
    config = checked.config(path)
    if config is None or checked.wrong:
        lines = [f"{path} is wrong:", *(f"  {line}" for line in checked.wrong)]
        raise SettingsError(
            "\n".join(lines), do="`qytet edge config sample` shows a whole file with comments."
        )
    return config


def sample() -> str:
    """The commented sample that the program ships."""
    return (resources.files("qytet_edge") / "sample.toml").read_text(encoding="utf-8")


def password(config: Config) -> str:
    """The broker's password, or "" if there is none. Raises SettingsError if the named file cannot be read."""
    named, folder = config.uplink.password_file, os.environ.get("CREDENTIALS_DIRECTORY")
    if named is not None:
        path = config.folder / named
    elif folder and (Path(folder) / CREDENTIAL).is_file():
        path = Path(folder) / CREDENTIAL
    else:
        return ""
    try:
        first = path.read_text(encoding="utf-8").splitlines()[:1]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The broker's password cannot be read from {path}.",
            why=str(error),
            do="Write it as the first line of that file, readable by the gateway's user alone.",
        ) from error
    return first[0].strip() if first else ""


def _unmakable(config: Config) -> Iterator[str]:
    context = config.context()
    for table, known, rows in (
        ("source", kinds.SOURCES, config.sources),
        ("output", kinds.OUTPUTS, config.outputs),
    ):
        for row in rows:
            try:
                kinds.make(known, row, context)
            except Exception as error:  # noqa: BLE001 (whatever a plug-in finds wrong is what was asked for)
                yield f"[[{table}]] {row.name}: {str(error) or type(error).__name__}"


class _Checked:
    """Checks table by table, so that one look shows all mistakes (`wrong`: one line each)."""

    def __init__(self, tables: dict[str, Any]) -> None:
        self.wrong: list[str] = []
        self._tables = tables

    def config(self, path: Path) -> Config | None:
        known = {*SECTIONS, "source", "output", "rule"}
        for name in sorted(self._tables.keys() - known):
            self.wrong.append(f"[{name}]: there is no such table; known are {', '.join(sorted(known))}")
        sections: dict[str, Any] = {name: self._section(name) for name in SECTIONS}
        sources = tuple(self._plugins("source", kinds.SOURCES))
        outputs = tuple(self._plugins("output", kinds.OUTPUTS))
        rules = tuple(self._rules({output.name for output in outputs}))
        if any(section is None for section in sections.values()):
            return None
        return Config(path.absolute(), **sections, sources=sources, outputs=outputs, rules=rules)

    def _section(self, name: str) -> BaseModel | None:
        return self._model(f"[{name}]", SECTIONS[name], self._tables.get(name, {}))

    def _plugins(self, table: str, known: dict[str, str]) -> Iterator[Any]:
        for place, row in self._rows(table):
            kind = row.get("kind")
            if not isinstance(kind, str):
                self.wrong.append(f"{place}: kind is missing; one of {', '.join(sorted(known))}")
                continue
            try:
                model = kinds.model(known, kind)
            except SettingsError as error:
                self.wrong.append(f"{place}, kind: {error}")
                continue
            found = self._model(place, model, row)
            if found is not None:
                yield found

    def _rules(self, outputs: set[str]) -> Iterator[RuleConfig]:
        for place, row in self._rows("rule"):
            found = self._model(place, RuleConfig, row)
            if found is None:
                continue
            if found.then.output not in outputs:
                named = ", ".join(sorted(outputs)) or "none"
                self.wrong.append(
                    f"{place}, then.output: there is no output {found.then.output!r}; known: {named}"
                )
            yield found

    def _rows(self, table: str) -> Iterator[tuple[str, dict[str, Any]]]:
        rows = self._tables.get(table, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            self.wrong.append(f"[{table}]: write it with double brackets, [[{table}]]: there may be several")
            return
        names = Counter(str(row.get("name")) for row in rows)
        for number, row in enumerate(rows, 1):
            name = str(row.get("name", ""))
            place = f"[[{table}]] {name or f'number {number}'}"
            if name and names[name] > 1:
                self.wrong.append(f"{place}: {names[name]} {table}s bear this name; each needs its own")
                names[name] = 1  # said once
            if name in _TAKEN and table == "source":
                self.wrong.append(f"{place}: the gateway itself uses this name; choose another")
            yield place, row

    def _model(self, place: str, model: type[M], values: Any) -> M | None:
        try:
            return model.model_validate(values)
        except ValidationError as error:
            self.wrong += [_line(place, model, item) for item in error.errors(include_url=False)]
            return None


def _line(place: str, model: type[BaseModel], item: Any) -> str:
    """One mistake in words: where, what was found (unless it could be a secret), what is expected."""
    field = ".".join(map(str, item["loc"]))
    name = str(item["loc"][-1]) if item["loc"] else ""
    where = f"{place}, {field}" if field else place
    if any(word in name for word in _SECRETS) and item["type"] == "extra_forbidden":
        return f"{where}: secrets do not belong into this file; use password_file or systemd's credentials"
    if item["type"] == "extra_forbidden":
        return f"{where}: there is no such field; known are {', '.join(model.model_fields)}"
    if item["type"] == "missing":
        return f"{where}: is missing ({_described(model, item['loc'])})"
    found = item.get("input")
    if isinstance(found, str) and "@" in urlsplit(found).netloc:
        found = None  # a password may stand before the @
    seen = f" (found {found!r})" if isinstance(found, str | int | float | bool) else ""
    said = str(item["msg"]).removeprefix("Value error, ")
    described = _described(model, item["loc"])
    return f"{where}: {said}{seen}" + (f": {described}" if described else "")


def _described(model: type[BaseModel], loc: tuple[Any, ...]) -> str:
    """What the field says of itself; "" for a part of a nested one."""
    field = model.model_fields.get(str(loc[0])) if len(loc) == 1 else None
    return (field.description or "") if field else ""


def _plain(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_none=True, by_alias=True)
