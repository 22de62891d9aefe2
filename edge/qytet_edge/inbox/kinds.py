"""The plug-ins: which module knows which kind of source or output, and what such a module must offer.

A plug-in module (see `SOURCES` and `OUTPUTS`) is imported only if the configuration names its kind, so that a
gateway without GPIO pins needs no gpiozero. Big libraries it imports inside functions. It offers:

    Config                              a SourceConfig (or OutputConfig) subclass whose `kind` is a Literal, or, if
                                        the module knows several kinds, the union of such classes (`A | B`)
    create(config, context) -> Source   (or Output); opens nothing: `run` (or the first `set`) does
    async probe(config, context) -> list[Finding]   optional: what `qytet edge doctor` says of it; changes nothing

A Source that also has `stored` and `command` (ports.Marks) is told the city's marks and commands for the nodes
behind it. A Source may offer `state()`: plain values for the status beside its readings. An Output may offer
`async def open()`, called before the first `set`, to bring it into its safe state, and `async def close()`, called
once at the end, to leave it there.
"""

import importlib
from collections.abc import Awaitable, Callable, Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, field_validator

from qytet.errors import SettingsError
from qytet_contract import records
from qytet_contract.codes import ContractError

__all__ = [
    "OUTPUTS",
    "SOURCES",
    "Context",
    "OutputConfig",
    "Slug",
    "SourceConfig",
    "load",
    "make",
    "model",
    "models",
]

SOURCES = {
    "modbus-rtu": "qytet_edge.inbox.modbus",
    "modbus-tcp": "qytet_edge.inbox.modbus",
    "uart": "qytet_edge.inbox.uart",
    "pulses": "qytet_edge.inbox.pins",
    "contact": "qytet_edge.inbox.pins",
    "i2c": "qytet_edge.inbox.i2c",
    "file": "qytet_edge.inbox.files",
    "http": "qytet_edge.inbox.files",
    "nodes": "qytet_edge.inbox.relay",
}
OUTPUTS = {
    "gpio": "qytet_edge.outputs.pins",
    "pwm": "qytet_edge.outputs.pins",
    "modbus": "qytet_edge.outputs.modbus",
}

Slug = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
"""A name as topics have it: a-z, 0-9, - and _, at most 64."""

T = TypeVar("T")


class _Plugin(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Slug = Field(description="Its name in logs, status and rules; unique among its kind of table.")


class SourceConfig(_Plugin):
    """What every `[[source]]` has; the plug-in adds `kind` (a Literal) and its own fields, each described."""


class OutputConfig(_Plugin):
    """What every `[[output]]` has; the plug-in adds `kind` (a Literal) and its own fields, each described."""

    reports: str = Field(
        "",
        description="Key (`property` or `property:channel`) under which each new value becomes a record of the "
        "gateway. Empty: none.",
    )

    @field_validator("reports")
    @classmethod
    def _known(cls, key: str) -> str:
        try:
            if key:
                records.check_key(key)
        except ContractError as error:
            raise ValueError(f"the catalogue has no {key!r} ({error.code})") from error
        return key


def _no_fix(_t_ms: int) -> None:
    """Nobody listens."""


async def _no_mark(_device: str, _boot: str) -> int:
    return 0


@dataclass(frozen=True)
class Context:
    """What a plug-in may know of the gateway around it."""

    city: str
    gateway: str
    """The gateway's own device: the default device of instruments without a name of their own."""
    folder: Path
    """The configuration's folder: relative paths in it start here (see `path`)."""
    data_dir: Path
    """Where the gateway keeps its files."""
    pins: Callable[[], Any] | None = None
    """Makes gpiozero's pin factory; None leaves the choice to gpiozero. Tests give MockFactory."""
    fix: Callable[[int], None] = _no_fix
    """Offer the clock a time from a satellite: Unix ms, true at the moment of the call. Any thread may call it."""
    mark: Callable[[str, str], Awaitable[int]] = _no_mark
    """The city's last mark for a nearby node's (device, boot) as the spool knows it; 0 if none."""
    instruments: set[str] = field(default_factory=set)
    """Devices that this gateway reads itself, known once all sources are made: nobody near by may speak for them."""
    _shared: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def path(self, given: Path) -> Path:
        """`given`, read from the configuration's folder."""
        return self.folder / given

    def shared(self, key: Hashable, make: Callable[[], T]) -> T:
        """The one object under `key` (a bus that several sources and outputs use), made at the first call.

        Call it on the event loop. Whoever makes the object also answers for closing it with its last user.
        """
        if key not in self._shared:
            self._shared[key] = make()
        found: T = self._shared[key]
        return found


def load(table: dict[str, str], kind: str) -> ModuleType:
    """The module that knows `kind`. Raises SettingsError if no module does, or if it lacks a library here."""
    if kind not in table:
        raise SettingsError(f"There is no kind {kind!r}.", why=f"Known are {', '.join(sorted(table))}.")
    try:
        return importlib.import_module(table[kind])
    except ModuleNotFoundError as missing:
        raise SettingsError(
            f"Kind {kind!r} cannot be used here.",
            why=f"The Python module {missing.name} is not installed.",
            do="Install qytet again."
            if (missing.name or "").startswith("qytet")
            else "Install the gateway's libraries: pip install 'qytet[edge]'",
        ) from missing


def make(table: dict[str, str], config: _Plugin, context: Context) -> Any:
    """The source or output that a configuration means; nothing is opened. Raises what its plug-in raises."""
    kind: str = getattr(config, "kind")  # noqa: B009 (each plug-in's model declares it)
    return load(table, kind).create(config, context)


def model(table: dict[str, str], kind: str) -> type[_Plugin]:
    """The configuration model of one kind. Raises SettingsError as `load` does."""
    for found in models(load(table, kind)):
        if kind in get_args(found.model_fields["kind"].annotation):
            return found
    raise SettingsError(f"Kind {kind!r} has no configuration model.", why=f"{table[kind]} does not offer it.")


def models(module: ModuleType) -> Iterator[type[_Plugin]]:
    """Every configuration model that a plug-in module offers as `Config`."""
    offered = module.Config
    if get_origin(offered) is Annotated:
        offered = get_args(offered)[0]
    yield from get_args(offered) if get_origin(offered) in (Union, UnionType) else (offered,)
