"""The registry: registers cities, sites, devices and datastreams from a plain description, idempotently.

A description is what `qytet device register FILE.json` reads and what the simulators print:

    {"cities":  [{"city": "tirana", "name": "Tirana", "time_zone": "Europe/Tirane", "lat": 41.3, "lon": 19.8}],
     "sites":   [{"city": "tirana", "site": "skenderbej", "name": "…", "lat": …, "lon": …, "height_m": 110}],
     "devices": [{"device": "tirana-air-01", "city": "tirana", "site": "skenderbej", "profile": "air",
                  "gateway": null, "valid_from": "2024-01-01T00:00:00Z", "datastreams": ["pm2_5", "no2"]}]}
"""

from typing import Any

import msgspec
import psycopg

from qytet.errors import InputError
from qytet_contract import records
from qytet_contract.codes import ContractError

__all__ = ["City", "Description", "Device", "Site", "parse", "register"]

SERVICE_START = "2024-01-01T00:00:00Z"
"""Devices that do not say when their service began are refused readings before this instant."""


class City(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A city; `lat` and `lon` in degrees (WGS 84)."""

    city: str
    name: str
    time_zone: str
    lat: float
    lon: float


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place in a city where devices stand; `height_m` above sea level."""

    city: str
    site: str
    name: str
    lat: float
    lon: float
    height_m: float | None = None


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device and the keys (`property` or `property:channel`) that it measures."""

    device: str
    city: str
    site: str
    profile: str
    datastreams: list[str]
    gateway: str | None = None
    valid_from: str = SERVICE_START


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is to be registered at once."""

    cities: list[City] = []
    sites: list[Site] = []
    devices: list[Device] = []


def parse(text: bytes | dict[str, Any]) -> Description:
    """A description from JSON or plain data. Raises InputError with the place of the mistake."""
    try:
        found = (
            msgspec.json.decode(text, type=Description)
            if isinstance(text, bytes)
            else msgspec.convert(text, Description)
        )
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError("The description of devices is wrong.", why=str(error)) from error
    for device in found.devices:
        for key in device.datastreams:
            try:
                records.check_key(key)
            except ContractError as error:
                raise InputError(
                    f"Device {device.device} has a datastream that cannot be.", why=str(error)
                ) from error
    return found


def register(connection: psycopg.Connection[Any], description: Description) -> dict[str, int]:
    """Create or update everything described, in one transaction; returns how many of each were described.

    A datastream that exists is left as it is. Raises InputError if a place, a gateway or a time zone is unknown.
    """
    with connection.transaction(), connection.cursor() as cursor:
        _refuse_zones(cursor, [city.time_zone for city in description.cities])
        cursor.executemany(_CITY, [msgspec.structs.asdict(city) for city in description.cities])
        cursor.executemany(_SITE, [msgspec.structs.asdict(site) for site in description.sites])
        by_gateway = sorted(description.devices, key=lambda device: device.gateway is not None)
        cursor.executemany(_DEVICE, [msgspec.structs.asdict(device) for device in by_gateway])
        streams = [
            {
                "device": d.device,
                "property": key.partition(":")[0],
                "channel": key.partition(":")[2],
                "from": d.valid_from,
            }
            for d in description.devices
            for key in d.datastreams
        ]
        cursor.executemany(_DATASTREAM, streams)
        _refuse_missing(cursor, description)
    return {
        "cities": len(description.cities),
        "sites": len(description.sites),
        "devices": len(description.devices),
        "datastreams": len(streams),
    }


def _refuse_zones(cursor: psycopg.Cursor[Any], zones: list[str]) -> None:
    """One city's unknown zone would make every question about all cities' days an error."""
    try:
        cursor.execute(_LOCAL_TIMES, {"zones": zones})
    except psycopg.errors.InvalidParameterValue as error:
        raise InputError(
            "A city's time zone is not known.",
            why=error.diag.message_primary or "",
            do="Write it as in the IANA time zone database, such as Europe/Tirane.",
        ) from error


def _refuse_missing(cursor: psycopg.Cursor[Any], description: Description) -> None:
    """What stands elsewhere than described, or nowhere, was passed over: its place or gateway is unknown."""
    sites, devices = description.sites, description.devices
    cursor.execute(_ABSENT_SITES, {"cities": [s.city for s in sites], "sites": [s.site for s in sites]})
    _refuse("sites", [row[0] for row in cursor.fetchall()], "Their city is not registered.")
    columns = {
        "names": [device.device for device in devices],
        "cities": [device.city for device in devices],
        "sites": [device.site for device in devices],
        "gateways": [device.gateway for device in devices],
    }
    cursor.execute(_ABSENT_DEVICES, columns)
    missing = [row[0] for row in cursor.fetchall()]
    _refuse("devices", missing, "Their city, site or gateway is not registered.")


def _refuse(what: str, missing: list[str], why: str) -> None:
    if missing:
        raise InputError(
            f"{len(missing)} {what} were not registered: {', '.join(missing[:5])}",
            why=why,
            do="Describe cities, sites and gateways in the same file, or register them first.",
        )


_LOCAL_TIMES = "select now() at time zone zone from unnest(%(zones)s::text[]) zone"
_CITY = """
insert into store.city (slug, name, time_zone, lat, lon) values (%(city)s, %(name)s, %(time_zone)s, %(lat)s, %(lon)s)
on conflict (slug) do update
set name = excluded.name, time_zone = excluded.time_zone, lat = excluded.lat, lon = excluded.lon
"""
_SITE = """
insert into store.site (city_id, slug, name, lat, lon, height_m)
select city_id, %(site)s, %(name)s, %(lat)s, %(lon)s, %(height_m)s from store.city where slug = %(city)s
on conflict (city_id, slug) do update
set name = excluded.name, lat = excluded.lat, lon = excluded.lon, height_m = excluded.height_m
"""
_DEVICE = """
insert into store.device (name, site_id, profile, gateway_id, valid)
select %(device)s, s.site_id, %(profile)s, (select device_id from store.device where name = %(gateway)s),
       tstzrange(%(valid_from)s::timestamptz, null)
from store.site s join store.city c using (city_id)
where c.slug = %(city)s and s.slug = %(site)s
  and (%(gateway)s::text is null or exists (select from store.device where name = %(gateway)s))
on conflict (name) do update
set site_id = excluded.site_id, profile = excluded.profile, gateway_id = excluded.gateway_id
"""
_DATASTREAM = """
insert into store.datastream (device_id, property, channel, valid)
select d.device_id, %(property)s, %(channel)s, tstzrange(%(from)s::timestamptz, null)
from store.device d
where d.name = %(device)s and not exists (
    select from store.datastream o
    where o.device_id = d.device_id and o.property = %(property)s and o.channel = %(channel)s and upper_inf(o.valid))
"""
_ABSENT_SITES = """
select w.site from unnest(%(cities)s::text[], %(sites)s::text[]) as w (city, site)
where not exists (select from store.site s join store.city c using (city_id) where c.slug = w.city and s.slug = w.site)
"""
_ABSENT_DEVICES = """
select w.device from unnest(%(names)s::text[], %(cities)s::text[], %(sites)s::text[], %(gateways)s::text[])
    as w (device, city, site, gateway)
where not exists (
    select from store.device d
    join store.site s using (site_id)
    join store.city c using (city_id)
    left join store.device g on g.device_id = d.gateway_id
    where d.name = w.device and c.slug = w.city and s.slug = w.site and g.name is not distinct from w.gateway)
"""
