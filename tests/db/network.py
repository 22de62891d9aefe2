"""Registers small networks of devices in several cities, and asks functions of the database as dashboards do."""

from collections.abc import Iterable
from datetime import UTC, datetime

import psycopg

from qytet.db.registry import parse, register

ALL = ["*"]


def network(db: psycopg.Connection, devices: Iterable[tuple[str, str, str, list[str]]]) -> dict[str, int]:
    """Register devices (city, site, device, keys); the datastreams' ids by "device/key"."""
    devices = list(devices)
    cities = sorted({city for city, _, _, _ in devices})
    sites = sorted({(city, site) for city, site, _, _ in devices})
    place = {"lat": 41.3, "lon": 19.8}
    description = {
        "cities": [{"city": c, "name": c.title(), "time_zone": "Europe/Tirane", **place} for c in cities],
        "sites": [{"city": c, "site": s, "name": s.title(), **place} for c, s in sites],
        "devices": [
            {"device": device, "city": city, "site": site, "profile": "test", "datastreams": keys}
            for city, site, device, keys in devices
        ],
    }
    register(db, parse(description))
    found = db.execute(
        "select device || '/' || key, datastream_id from qytet.datastream where device = any(%s)",
        ([device for _, _, device, _ in devices],),
    )
    return dict(found.fetchall())


def ask(db: psycopg.Connection, query: str, *values: object) -> list[tuple]:
    """The rows of a query, read with the dashboards' role; instants in UTC."""
    with db.transaction():
        db.execute("set local role qytet_dashboards")
        rows = db.execute(query, values).fetchall()
    return [tuple(v.astimezone(UTC) if isinstance(v, datetime) else v for v in row) for row in rows]
