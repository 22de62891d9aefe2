"""The fleet as the registry wants it described: what `qytet device register` reads."""

from typing import Any

from qytet_simulators.city.fleet import Fleet

__all__ = ["description"]


def description(fleet: Fleet) -> dict[str, list[dict[str, Any]]]:
    """Plain data: cities, sites and devices, a device's `datastreams` as keys `property[:channel]`."""
    return {
        "cities": [
            {"city": one.slug, "name": one.name, "time_zone": one.time_zone, "lat": one.lat, "lon": one.lon}
            for one in fleet.cities
        ],
        "sites": [
            {
                "city": one.city,
                "site": one.slug,
                "name": one.name,
                "lat": one.lat,
                "lon": one.lon,
                "height_m": one.height_m,
            }
            for one in fleet.sites
        ],
        "devices": [
            {
                "device": one.name,
                "city": one.city,
                "site": one.site.slug,
                "profile": one.profile.name,
                "gateway": None,
                "datastreams": list(one.datastreams),
            }
            for one in fleet.devices
        ],
    }
