"""The registry as ingest holds it in memory: who may speak, and which datastream a key means at an instant."""

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg

from qytet_ingest.ledger import Boot

__all__ = ["Device", "Registry", "Stream"]

_MIN_MS, _MAX_MS = -(2**62), 2**62

_DEVICES = """
select d.device_id, d.name, c.slug, g.name
from store.device d
join store.site s using (site_id)
join store.city c using (city_id)
left join store.device g on g.device_id = d.gateway_id
"""
_STREAMS = """
select ds.datastream_id, ds.device_id, ds.property || case when ds.channel = '' then '' else ':' || ds.channel end,
       (extract(epoch from lower(ds.valid * d.valid)) * 1000)::bigint,
       (extract(epoch from upper(ds.valid * d.valid)) * 1000)::bigint,
       p.fail_min, p.fail_max, p.suspect_min, p.suspect_max
from store.datastream ds
join store.device d using (device_id)
join store.property p using (property)
where not isempty(ds.valid * d.valid) and (%(device)s::int is null or device_id = %(device)s)
"""


@dataclass(frozen=True, slots=True)
class Stream:
    """A datastream and when it is valid, in Unix milliseconds [start, end)."""

    datastream_id: int
    start: int
    end: int


@dataclass(slots=True, eq=False)
class Device:
    """A device: `open` has the datastream of each key for instants within [start, end), `streams` all of them."""

    device_id: int
    name: str
    city: str
    gateway: str | None
    mine: bool
    open: dict[str, int] = field(default_factory=dict)
    start: int = _MIN_MS
    end: int = _MAX_MS
    streams: dict[str, list[Stream]] = field(default_factory=dict)
    boots: dict[str, Boot] = field(default_factory=dict)

    def stream_at(self, key: str, t_ms: int) -> int | None:
        """The id of the datastream that `key` means at that instant; None if none was valid then."""
        return next((s.datastream_id for s in self.streams.get(key, ()) if s.start <= t_ms < s.end), None)

    def settle(self) -> None:
        """Prepare the fast path: for each key the newest datastream, and the span in which all of these are valid."""
        self.start, self.end = _MIN_MS, _MAX_MS
        for key, streams in self.streams.items():
            newest = max(streams, key=lambda stream: stream.start)
            self.open[key] = newest.datastream_id
            self.start = max(self.start, newest.start)
            self.end = min(self.end, newest.end)


def in_shard(name: str, shard: tuple[int, int]) -> bool:
    """Whether a device of that name belongs to the shard (index, count)."""
    return zlib.crc32(name.encode()) % shard[1] == shard[0]


class Registry:
    """A snapshot of devices by name and id.

    `limits` holds a row for each datastream id: fail_min, fail_max, suspect_min, suspect_max.
    """

    def __init__(self, devices: dict[str, Device], shard: tuple[int, int] = (0, 1)) -> None:
        self.devices = devices
        self._shard = shard
        self.by_id = {device.device_id: device for device in devices.values()}
        self.limits = np.full((1, 4), np.nan)

    @classmethod
    def load(
        cls, connection: psycopg.Connection[Any], shard: tuple[int, int], before: "Registry | None" = None
    ) -> "Registry":
        """Read the registry; boots already in memory are kept."""
        devices = {}
        for device_id, name, city, gateway in connection.execute(_DEVICES).fetchall():
            devices[name] = Device(device_id, name, city, gateway, in_shard(name, shard))
            if before is not None and device_id in before.by_id:
                devices[name].boots = before.by_id[device_id].boots
        registry = cls(devices, shard)
        if before is not None:
            registry.limits = before.limits.copy()  # a batch in hand may name what is gone
        registry._take(connection.execute(_STREAMS, {"device": None}).fetchall())
        return registry

    def is_mine(self, name: str) -> bool:
        """Whether this worker speaks for a device of that name, known or not."""
        return in_shard(name, self._shard)

    def reload_device(self, connection: psycopg.Connection[Any], device: Device) -> None:
        """Read one device's datastreams again."""
        device.streams.clear()
        self._take(connection.execute(_STREAMS, {"device": device.device_id}).fetchall())

    def _take(self, rows: list[tuple[Any, ...]]) -> None:
        size = max((row[0] for row in rows), default=0) + 1
        if size > len(self.limits):
            self.limits = np.vstack([self.limits, np.full((size - len(self.limits), 4), np.nan)])
        touched = {}
        for datastream_id, device_id, key, start, end, *limits in rows:
            self.limits[datastream_id] = limits
            stream = Stream(
                datastream_id, _MIN_MS if start is None else start, _MAX_MS if end is None else end
            )
            touched[device_id] = self.by_id[device_id]
            touched[device_id].streams.setdefault(key, []).append(stream)
        for device in touched.values():
            device.settle()
