"""Which devices stand where: cities, sites and devices, read from one TOML file a city and never changed after."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from qytet.errors import InputError
from qytet_simulators.city.profiles import PROFILES, Profile

CITIES = ("tirana", "durres", "korce")


class FleetError(InputError):
    """A fleet description contradicts itself or names something unknown."""


@dataclass(frozen=True, slots=True)
class City:
    """A city; ``climate`` holds the numbers that its weather, smoke and habits hang on."""

    slug: str
    name: str
    name_en: str
    time_zone: str
    lat: float
    lon: float
    height_m: float
    climate: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Site:
    """A place; ``traffic`` is how much of the main roads' traffic its air feels (0 park .. 1.3 junction)."""

    city: str
    slug: str
    name: str
    lat: float
    lon: float
    height_m: float
    traffic: float = 0.5


@dataclass(frozen=True, slots=True)
class Device:
    """One device; ``stem`` is the device whose habits it shares when the fleet was scaled, else its own name."""

    name: str
    city: str
    site: Site
    profile: Profile
    interval_ms: int
    channels: int
    traits: Mapping[str, float]
    stem: str

    @property
    def datastreams(self) -> tuple[str, ...]:
        """Keys ``property`` or ``property:channel`` that it reports."""
        return self.profile.datastreams(self.channels)


@dataclass(frozen=True)
class Fleet:
    """Cities, sites and devices; methods return changed copies."""

    cities: tuple[City, ...]
    sites: tuple[Site, ...]
    devices: tuple[Device, ...]

    @cached_property
    def by_name(self) -> dict[str, Device]:
        """Devices by their name."""
        return {device.name: device for device in self.devices}

    def paced(self, factor: float, shortest_s: float = 1.0, longest_s: float = 86400.0) -> "Fleet":
        """Every reporting interval times ``factor``, kept within bounds (seconds, to a tenth)."""
        return replace(
            self, devices=tuple(_with_pace(device, factor, shortest_s, longest_s) for device in self.devices)
        )

    def only(self, names: Iterable[str]) -> "Fleet":
        """The fleet reduced to these devices.

        Raises:
            FleetError: a name is unknown.
        """
        wanted = set(names)
        if unknown := wanted - self.by_name.keys():
            raise FleetError(
                f"No such device: {', '.join(sorted(unknown))}.", do="Names are in the cities' files."
            )
        return replace(self, devices=tuple(device for device in self.devices if device.name in wanted))

    def scale(self, count: int) -> "Fleet":
        """Exactly ``count`` devices: copies of the described ones (``tirana-air-01-x0001``), in their order."""
        if count < 1:
            raise FleetError(
                f"A fleet of {count} devices is none.", why="It needs at least one.", do="Ask for 1 or more."
            )
        rounds, own = divmod(count - 1, len(self.devices))
        copies = list(self.devices)
        for number in range(1, rounds + 1):
            copies += [replace(device, name=f"{device.name}-x{number:04d}") for device in self.devices]
        return replace(self, devices=tuple(copies[: rounds * len(self.devices) + own + 1]))


def load_fleet(cities: Iterable[str] = CITIES, *, folder: Path | None = None) -> Fleet:
    """Read ``<city>.toml`` of each city from the package, or from a folder of the caller's.

    Raises:
        FleetError: a file is missing, is no TOML, or describes something impossible.
    """
    parts = [_read_city(slug, folder) for slug in cities]
    fleet = Fleet(
        tuple(city for city, _, _ in parts),
        tuple(site for _, sites, _ in parts for site in sites),
        tuple(device for _, _, devices in parts for device in devices),
    )
    if len(fleet.by_name) < len(fleet.devices):
        raise FleetError(
            "Two devices share a name.", why="Device names are unique over all cities.", do="Rename one."
        )
    return fleet


def _read_city(slug: str, folder: Path | None) -> tuple[City, list[Site], list[Device]]:
    source = (folder or files("qytet_simulators.city") / "cities") / f"{slug}.toml"
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
        city = City(slug=slug, climate=table["climate"], **table["city"])
        sites = {row["slug"]: Site(city=slug, **row) for row in table["site"]}
        devices = [_device(slug, sites, row) for row in table["device"]]
    except FileNotFoundError as error:
        raise FleetError(f"There is no city {slug!r}.", why=str(error), do=f"Write {slug}.toml.") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise FleetError(
            f"{slug}.toml cannot be used.", why=repr(error), do="Compare it with tirana.toml."
        ) from error
    return city, list(sites.values()), devices


def _device(city: str, sites: Mapping[str, Site], row: dict[str, Any]) -> Device:
    profile = PROFILES[row["profile"]]
    return Device(
        name=row["name"],
        city=city,
        site=sites[row["site"]],
        profile=profile,
        interval_ms=round(1000 * float(row.get("interval_s", profile.interval_s))),
        channels=int(row.get("channels", profile.channels)),
        traits={key: float(value) for key, value in row.get("traits", {}).items()},
        stem=row["name"],
    )


def _with_pace(device: Device, factor: float, shortest_s: float, longest_s: float) -> Device:
    seconds = min(max(device.interval_ms / 1000 * factor, shortest_s), longest_s)
    return replace(device, interval_ms=max(100, round(seconds * 10) * 100))
