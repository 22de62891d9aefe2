"""What a city's nodes have in common, as `bench.toml` says it: read, checked, with what is wrong said in words.

Paths are relative to the file's folder. The keys are explained in docs/reference/bench.md.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from qytet.errors import InputError

__all__ = ["BenchSettings", "Broker", "City", "Image", "Site", "Wifi", "load"]

_LIMIT = 1 << 20
"""Bytes; whoever names a firmware image as the settings should hear it at once."""


class Wifi(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The network that nodes join; the password stands here or in a file of its own."""

    ssid: str
    password: str = ""
    password_file: str = ""

    def __repr__(self) -> str:
        return f"Wifi(ssid={self.ssid!r})"


class Broker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where nodes publish; `name` is the name in its certificate, if that is not `host`."""

    host: str
    port: int = 8883
    tls: bool = True
    name: str = ""


class Image(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's MicroPython image for a chip, and the SHA-256 (hex) that it must have."""

    path: str
    sha256: str


class City(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A city for the registry: degrees (WGS 84) and its time zone's name."""

    name: str
    time_zone: str
    lat: float
    lon: float

    def document(self) -> dict[str, Any]:
        """As the registry reads it."""
        return msgspec.structs.asdict(self)


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place for the registry; `height_m` above sea level."""

    name: str
    lat: float
    lon: float
    height_m: float | None = None

    def document(self) -> dict[str, Any]:
        """As the registry reads it."""
        return msgspec.structs.asdict(self)


class BenchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`bench.toml`. `image` by chip: esp32, esp32s3, esp32c3; `cities` and `sites` by name."""

    city: str = ""
    site: str = ""
    profile: str = ""
    board: str = "esp32-devkitc"
    wifi: Wifi
    broker: Broker
    ca: str = ""
    update_key: str = ""
    ntp: list[str] = []
    report_s: int | None = None
    keep_bytes: int | None = None
    pins: dict[str, int] = {}
    sensors: dict[str, dict[str, Any] | None] = {}
    outputs: dict[str, Any] = {}
    image: dict[str, Image] = {}
    vault: str = "vault"
    api: str = ""
    cities: dict[str, City] = {}
    sites: dict[str, Site] = {}
    folder: Path = Path()
    """Where the file lies; not a key of it."""

    def path(self, name: str) -> Path:
        """A path of the file, from its folder."""
        return self.folder / Path(name).expanduser()


def load(path: Path) -> BenchSettings:
    """Read a file. Raises InputError that names the key; never quotes a value."""
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT + 1)
        if len(content) > _LIMIT:
            raise InputError(f"{path} is no settings file.", why="It is larger than 1 MB.")
        found = tomllib.loads(content.decode())
    except OSError as error:
        raise InputError(
            f"{path} cannot be read.",
            why=str(error.strerror),
            do="Write one as docs/reference/bench.md shows, and give its path by --config.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML.", why=str(error)) from None  # a cause would quote the text
    return _checked(path, found)


def _checked(path: Path, found: Mapping[str, Any]) -> BenchSettings:
    if "folder" in found:
        raise InputError(f"{path}: nobody knows what `folder` is.")
    try:
        return msgspec.convert({**found, "folder": path.parent}, BenchSettings)
    except msgspec.ValidationError as error:
        raise InputError(
            f"{path} cannot be used.",
            why=str(error).replace("$.", "key "),
            do="The keys are listed in docs/reference/bench.md.",
        ) from error
