"""Places of a test's own, wherever the sun stands right for it, and readings that also count as the newest."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import psycopg.rows

from qytet.db.registry import parse, register
from qytet_simulators.city import sun
from tests.db.support import store

ALL = ["*"]
_numbers = itertools.count(1)


class Place:
    """A city with one site, its devices' datastreams by `device/key`, and when it began."""

    def __init__(
        self, db: psycopg.Connection, lat: float = 41.33, lon: float = 19.82, zone: str = "Europe/Tirane"
    ) -> None:
        self.db = db
        self.zone = zone
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.city = f"place-{next(_numbers)}"
        self.site = f"{self.city}-site"
        self._about = {"lat": lat, "lon": lon}
        self.streams: dict[str, int] = {}

    @property
    def cities(self) -> list[str]:
        """The argument that means this city only."""
        return [self.city]

    def device(self, name: str, keys: Iterable[str], **more: object) -> str:
        """Register a device `city-name` with these datastreams; its full name."""
        device = f"{self.city}-{name}"
        known = {"device": device, "city": self.city, "site": self.site, "profile": "test"}
        city = {"city": self.city, "name": self.city, "time_zone": self.zone} | self._about
        site = {"city": self.city, "site": self.site, "name": self.site} | self._about
        whole = {
            "cities": [city],
            "sites": [site],
            "devices": [known | {"datastreams": list(keys)} | more],
        }
        register(self.db, parse(whole))
        query = "select key, datastream_id from qytet.datastream where device = %s"
        rows = self.db.execute(query, (device,)).fetchall()
        self.streams |= {f"{name}/{key}": stream for key, stream in rows}
        return device

    def replace(self, key: str, when: datetime) -> str:
        """End the datastream `device/key` and begin its successor, whose key is returned."""
        old = self.streams[key]
        self.db.execute(_END, (when, old))
        ((self.streams[f"{key} new"],),) = self.db.execute(_BEGIN, (when, old)).fetchall()
        return f"{key} new"

    def store(self, series: Mapping[str, Sequence[tuple[datetime, float | None]]], quality: int = 1) -> None:
        """Store readings by `device/key`, the last of each series as the newest."""
        for key, rows in series.items():
            if rows:
                readings = [(time, None if value is None else float(value), quality) for time, value in rows]
                store(self.db, self.streams[key], readings)
                time, value, _ = readings[-1]
                self.db.execute(_NEWEST, (self.streams[key], time, value, quality))

    def ask(self, query: str, *values: object) -> list[dict]:
        """Rows as dictionaries, read with the dashboards' role; instants in UTC."""
        with self.db.transaction(), self.db.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            cursor.execute("set local role qytet_dashboards")
            rows = cursor.execute(query, values).fetchall()
        return [{name: _utc(value) for name, value in row.items()} for row in rows]


_END = "update store.datastream set valid = tstzrange(lower(valid), %s) where datastream_id = %s"
_BEGIN = """
insert into store.datastream (device_id, property, channel, valid)
select device_id, property, channel, tstzrange(%s, null) from store.datastream where datastream_id = %s
returning datastream_id
"""
_NEWEST = """
insert into store.latest values (%s, %s, %s, %s, 2)
on conflict (datastream_id) do update set phenomenon_time = excluded.phenomenon_time, value = excluded.value,
    quality = excluded.quality where excluded.phenomenon_time > latest.phenomenon_time
"""


def _utc(value: object) -> object:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def longitude_where(elevation: float) -> float:
    """A longitude on the equator where the sun sinks and has about this elevation (degrees) now."""
    t_ms = np.array([int(datetime.now(UTC).timestamp() * 1000)])
    longitudes = np.arange(-180.0, 180.0, 0.25)
    found, later = (sun.elevation_deg(t_ms + wait, 0.0, longitudes) for wait in (0, 600_000))
    return float(longitudes[np.where(later < found, np.abs(found - elevation), 999).argmin()])


def steps(end: datetime, count: int, each: timedelta = timedelta(minutes=15)) -> list[datetime]:
    """So many instants up to `end`, the oldest first."""
    return [end - each * back for back in reversed(range(count))]


def at(text: str) -> datetime:
    """An instant of UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
