"""What a mapping file may say: where a recording lies, when its rows were, and what each column means."""

import hashlib
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from qytet.errors import InputError
from qytet_contract import records
from qytet_contract.codes import ContractError
from qytet_contract.topics import is_slug
from qytet_simulators.replay import units
from qytet_simulators.replay.stamps import Time, check_time

__all__ = ["Column", "Condition", "Mapping", "Source", "built_in", "fields_of", "find", "load"]

Text = Annotated[str, msgspec.Meta(min_length=1)]
_FIELD = re.compile(r"\{([^{}]+)\}")


class City(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The city under which the recording's devices are registered; degrees, WGS 84."""

    city: str
    name: Text
    time_zone: Text
    lat: float
    lon: float


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place in that city."""

    site: str
    name: Text
    lat: float
    lon: float
    height_m: float | None = None


class DeviceRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where devices of a name (shell pattern, first match wins) stand, and what they are."""

    device: Text
    site: str
    profile: Text


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """This column's value means nothing while another column is blank (and, if given, `value` is its value)."""

    blank: Text
    reason: Text
    value: float | None = None


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column (or all that `match` fully matches) and the datastream that it holds.

    `device` and the channel of `key` may hold `{name}`: the row's value in that column, or, for
    `{column}`, the name of the matched column. `missing`: texts and numbers that stand for no value.
    """

    device: Text
    key: Text
    unit: Text
    column: str = ""
    match: str = ""
    missing: list[str | float] = []
    missing_when: list[Condition] = []


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: how to read it, when its rows were, what its columns are."""

    path: Text
    time: Time
    column: Annotated[list[Column], msgspec.Meta(min_length=1)]
    ignored: dict[str, Text] = {}
    format: Literal["", "csv", "csv.gz", "parquet"] = ""
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    encoding: Text = "utf-8"
    decimal: Literal[".", ","] = "."


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole mapping file."""

    name: str
    title: Text
    city: City
    site: Annotated[list[Site], msgspec.Meta(min_length=1)]
    device: Annotated[list[DeviceRule], msgspec.Meta(min_length=1)]
    source: Annotated[list[Source], msgspec.Meta(min_length=1)]
    notes: str = ""

    def meaning(self) -> str:
        """A digest of all that decides which records come out; titles, places and notes do not."""
        return hashlib.sha256(msgspec.json.encode([self.name, self.city.city, self.source])).hexdigest()


def built_in() -> list[str]:
    """The names of the mappings that come with the project."""
    folder = resources.files(__package__).joinpath("mappings")
    return sorted(
        found.name.removesuffix(".toml") for found in folder.iterdir() if found.name.endswith(".toml")
    )


def find(name: str) -> tuple[str, bytes]:
    """The mapping file that `name` means: a path, or the name of one that comes with the project."""
    path = Path(name)
    if path.is_file():
        return str(path), path.read_bytes()
    short = name.removesuffix(".toml")
    if short in built_in():
        found = resources.files(__package__).joinpath("mappings", f"{short}.toml")
        return f"{short}.toml", found.read_bytes()
    raise InputError(
        f"There is no mapping {name}.",
        why="It is neither a file nor one of the mappings that come with the project.",
        do="`qytet replay --list` shows those; docs/how-to/replay-a-recording.md says how to write one.",
    )


def load(name: str) -> Mapping:
    """The mapping `name` (a path, or a built-in one), checked. Raises InputError with file, table and key."""
    place, raw = find(name)
    try:
        mapping = msgspec.convert(tomllib.loads(raw.decode("utf-8")), Mapping)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{place} is not a TOML file.", why=str(error)) from error
    except msgspec.ValidationError as error:
        raise InputError(f"{place}: {_place(str(error))}", do=_HELP) from error
    try:
        _check(mapping)
    except _WrongError as error:
        raise InputError(f"{place}: {error.table}: {error.why}", do=_HELP) from error
    return mapping


_HELP = "docs/how-to/replay-a-recording.md explains every table."


def _place(message: str) -> str:
    """msgspec's message with the table first: `source[0].time.zone: expected str, got int`."""
    what, _, where = message.partition(" - at `$")
    where = where.strip("`").lstrip(".")
    return f"{where or 'top level'}: {what}"


class _WrongError(Exception):
    def __init__(self, table: str, why: str) -> None:
        super().__init__(table, why)
        self.table = table
        self.why = why


def _check(mapping: Mapping) -> None:
    """All that types alone cannot say."""
    for table, slug in [("name", mapping.name), ("city.city", mapping.city.city)]:
        if not is_slug(slug):
            raise _WrongError(table, f"{slug!r} is not a name of a-z, 0-9, - and _")
    sites = [site.site for site in mapping.site]
    for index, site in enumerate(sites):
        if not is_slug(site) or site in sites[:index]:
            raise _WrongError(
                f"site[{index}].site", f"{site!r} is not a name of its own of a-z, 0-9, - and _"
            )
    for index, rule in enumerate(mapping.device):
        if rule.site not in sites:
            raise _WrongError(f"device[{index}].site", f"no [[site]] is named {rule.site!r}")
    for index, source in enumerate(mapping.source):
        _check_source(source, f"source[{index}]")


def _check_source(source: Source, table: str) -> None:
    if Path(source.path).is_absolute() or ".." in Path(source.path).parts:
        raise _WrongError(f"{table}.path", "must be relative to the data folder, and inside it")
    try:
        check_time(source.time)
    except ValueError as error:
        raise _WrongError(f"{table}.time", str(error)) from error
    for index, column in enumerate(source.column):
        _check_column(column, f"{table}.column[{index}]")


def _check_column(column: Column, table: str) -> None:
    if bool(column.column) == bool(column.match):
        raise _WrongError(table, "give either `column` or `match`")
    try:
        re.compile(column.match)
    except re.error as error:
        raise _WrongError(f"{table}.match", f"is not a regular expression: {error}") from error
    name, colon, channel = column.key.partition(":")
    try:
        records.check_key(name + colon + _FIELD.sub("x", channel))
    except ContractError as error:
        raise _WrongError(f"{table}.key", f"{column.key!r}: {error}") from error
    if not is_slug(_FIELD.sub("x", column.device)):
        raise _WrongError(f"{table}.device", f"{column.device!r} is not a name of a-z, 0-9, - and _")
    try:
        units.converter(column.unit, name)
    except InputError as error:
        raise _WrongError(f"{table}.unit", f"{error.what} {error.why}") from error


def fields_of(template: str) -> list[str]:
    """The column names between braces in a device or key template."""
    return _FIELD.findall(template)


def fill(template: str, values: dict[str, str]) -> str:
    """The template with each `{name}` replaced."""
    return _FIELD.sub(lambda found: values[found[1]], template)
