"""The ledger's memory: read once at the start, boot by boot later; bounded by forgetting what rests."""

from typing import Any

import psycopg

from qytet_ingest.ledger import Boot
from qytet_ingest.rangeset import RangeSet
from qytet_ingest.registry import Device, Registry

__all__ = ["Boots"]

_FIELDS = """
select y.device_id, y.boot, y.received, y.rejected, y.dropped, y.anchor_ms,
       exists (select from store.undated u where u.device_id = y.device_id and u.boot = y.boot)
from store.delivery y
"""
_RECENT = _FIELDS + " order by y.last_seen desc limit %(limit)s"
_ONE = _FIELDS + " where y.device_id = %(device)s and y.boot = %(boot)s"


class Boots:
    """Finds a boot in memory or in the database. At most `limit` are kept, or four a device if that is more."""

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._count = 0
        self._complete = False

    def load(self, connection: psycopg.Connection[Any], registry: Registry) -> None:
        """Read the most recent boots; if these are all, an unknown boot needs no look-up."""
        found = connection.execute(_RECENT, {"limit": self._limit}).fetchall()
        for row in found:
            device = registry.by_id.get(row[0])
            if device is not None and device.mine:
                device.boots[row[1]] = _boot(row)
                self._count += 1
        self._complete = len(found) < self._limit

    def find(
        self, connection: psycopg.Connection[Any], registry: Registry, device: Device, boot: str
    ) -> Boot:
        """The boot as memory or the ledger knows it, or a new one."""
        known = device.boots.get(boot)
        if known is not None:
            return known
        row = None
        if not self._complete:
            row = connection.execute(_ONE, {"device": device.device_id, "boot": boot}).fetchone()
        if self._count >= self._limit:
            self._forget(registry)
        device.boots[boot] = _boot(row) if row is not None else Boot(device.device_id, boot)
        self._count += 1
        return device.boots[boot]

    def refresh(self, connection: psycopg.Connection[Any], boot: Boot) -> None:
        """Take over what the ledger has and memory lacks: another worker, or a replay, stored it."""
        row = connection.execute(_ONE, {"device": boot.device_id, "boot": boot.boot}).fetchone()
        if row is not None:
            boot.learn(*map(_set, row[2:5]))

    def _forget(self, registry: Registry) -> None:
        """Keep each device's two newest boots; one that a batch is using stays."""
        self._complete = False
        self._count = 0
        for device in registry.devices.values():
            old = list(device.boots)[:-2]
            for name in old:
                if not device.boots[name].touched:
                    del device.boots[name]
            self._count += len(device.boots)
        self._limit = max(
            self._limit, 2 * self._count
        )  # more devices than expected: do not look at all each time


def _boot(row: tuple[Any, ...]) -> Boot:
    device_id, name, received, rejected, dropped, anchor_ms, undated = row
    return Boot(device_id, name, _set(received), _set(rejected), _set(dropped), anchor_ms, undated)


def _set(multirange: Any) -> RangeSet:
    return RangeSet((part.lower, part.upper) for part in multirange)
