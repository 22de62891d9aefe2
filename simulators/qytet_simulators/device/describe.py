"""The fleet as the registry wants it described: what `qytet device register` reads."""

from collections.abc import Iterable
from typing import Any

from qytet_simulators.city.fleet import City, Fleet, Site

__all__ = ["city_row", "description", "device_row", "site_row"]

Row = dict[str, Any]


def description(fleet: Fleet) -> dict[str, list[Row]]:
    """Plain data: cities, sites and devices, a device's `datastreams` as keys `property[:channel]`."""
    return {
        "cities": [city_row(city) for city in fleet.cities],
        "sites": [site_row(site) for site in fleet.sites],
        "devices": [
            device_row(device.name, device.site, device.profile.name, device.datastreams)
            for device in fleet.devices
        ],
    }


def city_row(city: City) -> Row:
    """A city of a description."""
    return {
        "city": city.slug,
        "name": city.name,
        "time_zone": city.time_zone,
        "lat": city.lat,
        "lon": city.lon,
    }


def site_row(site: Site) -> Row:
    """A site of a description."""
    return {
        "city": site.city,
        "site": site.slug,
        "name": site.name,
        "lat": site.lat,
        "lon": site.lon,
        "height_m": site.height_m,
    }


def device_row(name: str, site: Site, profile: str, datastreams: Iterable[str]) -> Row:
    """A device of a description, without a gateway."""
    return {
        "device": name,
        "city": site.city,
        "site": site.slug,
        "profile": profile,
        "gateway": None,
        "datastreams": list(datastreams),
    }
