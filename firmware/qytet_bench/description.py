"""What the registry must know of nodes before their readings are stored: the JSON for `qytet device register`."""

from collections.abc import Iterable
from typing import Any

from qytet.errors import InputError
from qytet_bench.node import NodeSettings
from qytet_bench.settings import BenchSettings

__all__ = ["description"]


def description(nodes: Iterable[NodeSettings], common: BenchSettings) -> dict[str, Any]:
    """Cities and sites as far as bench.toml describes them, and the devices with every key they may send.

    Raises InputError for a node without a site: the registry knows devices by where they stand.
    """
    cities: dict[str, dict[str, Any]] = {}
    sites: dict[tuple[str, str], dict[str, Any]] = {}
    devices = []
    for node in nodes:
        if not node.site:
            raise InputError(
                f"{node.device} has no site.", do="Give --site, or set site in bench.toml or devices.csv."
            )
        if place := common.cities.get(node.city):
            cities[node.city] = {"city": node.city, **place.document()}
        if site := common.sites.get(node.site):
            sites[node.city, node.site] = {"city": node.city, "site": node.site, **site.document()}
        devices.append(
            {
                "device": node.device,
                "city": node.city,
                "site": node.site,
                "profile": node.profile,
                "datastreams": node.kind.datastreams,
            }
        )
    return {"cities": list(cities.values()), "sites": list(sites.values()), "devices": devices}
