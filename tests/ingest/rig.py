"""The path from messages to rows without broker and threads: a decoder, its batches, and what is stored then."""

import itertools
import json
import time
from contextlib import contextmanager
from typing import Any

import psycopg

from qytet.db import registry as places
from qytet_contract import topics
from qytet_ingest import notices_sql
from qytet_ingest.batch import Batch
from qytet_ingest.boots import Boots
from qytet_ingest.checked import Checked
from qytet_ingest.decode import Decoder
from qytet_ingest.registry import Registry
from qytet_ingest.rows import Rows
from qytet_ingest.write import settle, write

__all__ = ["BOOT", "KEYS", "NOW", "Deaf", "Rig", "describe", "hist", "obs", "register"]

BOOT = "9f3a01c2"
KEYS = ["pm2_5", "no2", "vehicle_count:lane2"]
NOW = int(time.time() * 1000) // 1000 * 1000
_numbers = itertools.count(1)


def describe(*names: str, **changes: Any) -> dict[str, Any]:
    """Devices in Tirana with KEYS, as `qytet device register` takes them."""
    place = {"city": "tirana", "name": "Tirana", "lat": 41.33, "lon": 19.82}
    known = {"city": "tirana", "site": "sheshi", "profile": "air", "datastreams": KEYS, **changes}
    return {
        "cities": [{**place, "time_zone": "Europe/Tirane"}],
        "sites": [{**place, "site": "sheshi"}],
        "devices": [{"device": name, **known} for name in names],
    }


def register(db: psycopg.Connection, name: str = "", **changes: Any) -> str:
    """Register a device of this test's own; returns its name."""
    name = name or f"node-{next(_numbers)}"
    places.register(db, places.parse(describe(name, **changes)))
    return name


def obs(
    seq: int, t: int | None, m: dict[str, Any], *, boot: str = BOOT, up: int = 1000, tq: str = ""
) -> bytes:
    """A live record."""
    tq = tq or ("none" if t is None else "ntp")
    return json.dumps({"v": 1, "boot": boot, "seq": seq, "t": t, "up": up, "tq": tq, "m": m}).encode()


def hist(rows: list[list[Any]], *, lo: int | None = None, boot: str = BOOT) -> bytes:
    """A backfill of rows [seq, t, up, tq, m]."""
    return json.dumps({"v": 1, "boot": boot, **({} if lo is None else {"lo": lo}), "r": rows}).encode()


class Rig:
    """One device's messages and what becomes of them. `restart` forgets all memory, as a new process would."""

    def __init__(self, db: psycopg.Connection, device: str) -> None:
        self.db = db
        self.device = device
        self.restart()

    def restart(self) -> None:
        """Read everything from the database again."""
        self.registry = Registry.load(self.db, (0, 1))
        self.boots = Boots()
        self.boots.load(self.db, self.registry)
        self.checked = Checked(
            self.registry,
            city="",
            find_boot=lambda device, boot: self.boots.find(self.db, self.registry, device, boot),
            announce=self._announce,
            ahead_ms=300_000,
        )
        self.decoder = Decoder(self.registry, self.checked)

    def _announce(self, device: Any, keys: list[str]) -> None:
        notices_sql.announce(self.db, device.device_id, keys)
        self.registry.reload_device(self.db, device)

    def topic(self, kind: str, **more: str) -> bytes:
        """The device's topic of a kind."""
        return topics.topic("tirana", self.device, kind, **more).encode()

    def batch(self, *payloads: bytes, kind: str = "", now: int = NOW) -> Batch:
        """A batch that is decoded and not yet written; obs and hist are told apart by themselves."""
        batch = Batch()
        names = [self.topic(kind or ("hist" if b'"r"' in payload else "obs")) for payload in payloads]
        self.decoder.feed(batch, names, list(payloads), now)
        return batch

    def store(self, *payloads: bytes, kind: str = "", now: int = NOW) -> Rows:
        """Decode and commit."""
        batch = self.batch(*payloads, kind=kind, now=now)
        rows = write(self.db, batch, self.registry)
        settle(batch)
        return rows

    def boot(self, name: str = BOOT) -> Any:
        """The ledger's memory of a boot."""
        return self.registry.devices[self.device].boots[name]

    def rows(self) -> list[tuple[Any, ...]]:
        """Key, milliseconds after NOW, value, quality and time quality of every stored reading, by time and key."""
        return self.db.execute(_ROWS, {"device": self.device, "now": NOW}).fetchall()

    def values(self) -> list[tuple[Any, ...]]:
        """Key, milliseconds after NOW and value of every stored reading."""
        return [row[:3] for row in self.rows()]

    def letters(self) -> list[tuple[Any, ...]]:
        """Reason, number of sightings and payload of every dead letter, in order of arrival."""
        return self.db.execute(_LETTERS, {"device": self.device}).fetchall()

    def reasons(self) -> list[str]:
        """Reasons of the dead letters."""
        return [row[0] for row in self.letters()]

    def ledger(self, boot: str = BOOT) -> dict[str, int]:
        """The ledger's view of a boot."""
        row = self.db.execute(_LEDGER, {"device": self.device, "boot": boot}).fetchone()
        names = ("stored_mark", "received", "rejected", "dropped", "missing", "duplicates", "late")
        return dict(zip(names, row or [0] * len(names), strict=True))

    def undated(self) -> list[int]:
        """Numbers of the records that wait for a time."""
        found = self.db.execute("select seq from qytet.undated where device = %s order by seq", [self.device])
        return [row[0] for row in found.fetchall()]


class Deaf:
    """A connection that commits once, and then is lost before it hears of it."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._depth = 0
        self._lost = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    @contextmanager
    def transaction(self) -> Any:
        """The outermost transaction commits, and raises all the same."""
        self._depth += 1
        try:
            with self._connection.transaction():
                yield
        finally:
            self._depth -= 1
        if not self._depth and not self._lost:
            self._lost = True
            raise psycopg.OperationalError("the connection was lost while the commit was under way")


_ROWS = """
select key, (extract(epoch from phenomenon_time) * 1000)::bigint - %(now)s, value, quality, time_quality
from qytet.reading where device = %(device)s order by phenomenon_time, key
"""
_LETTERS = """
select reason, seen, payload from qytet.dead_letter where device = %(device)s order by dead_letter_id
"""
_LEDGER = """
select stored_mark, received, rejected, dropped, missing, duplicates, late
from qytet.delivery where device = %(device)s and boot = %(boot)s
"""
