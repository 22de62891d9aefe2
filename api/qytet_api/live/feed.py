"""One city's changes: polled once for all its readers, coalesced for each reader, so that memory is bounded."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg

from qytet import log
from qytet.units import display
from qytet_api.database import Database, Rows
from qytet_api.freshness import stale_after_s
from qytet_api.live import queries

__all__ = ["Feed", "Reader"]

POLL_SECONDS = 1.0
BEAT_SECONDS = 15.0
_BUSY = 5  # a poll may take at most a fifth of the time


class Reader:
    """What one client has not been told yet: at most the newest row of each datastream and device."""

    def __init__(self, snapshot: Mapping[str, Any] | None) -> None:
        self._snapshot = snapshot
        self._latest: dict[int, dict[str, Any]] = {}
        self._devices: dict[str, dict[str, Any]] = {}
        self._trouble: datetime | None = None
        self._woken = asyncio.Event()
        if snapshot is not None:
            self._woken.set()

    def tell(self, latest: Rows, devices: Rows) -> None:
        """Add changes; older ones of the same datastream or device are replaced."""
        self._latest.update({row["datastream_id"]: row for row in latest})
        self._devices.update({row["device"]: row for row in devices})
        if latest or devices:
            self._woken.set()

    def restart(self, snapshot: Mapping[str, Any]) -> None:
        """Forget what is pending: everything is in the snapshot."""
        self._latest.clear()
        self._devices.clear()
        self._trouble = None
        self._snapshot = snapshot
        self._woken.set()

    def trouble(self, since: datetime) -> None:
        """The database has not answered since then."""
        self._trouble = since
        self._woken.set()

    def wake(self) -> None:
        """Make the reader look whether it should end."""
        self._woken.set()

    @property
    def pending(self) -> int:
        """How many rows wait for this reader."""
        return len(self._latest) + len(self._devices)

    async def events(self, stopping: asyncio.Event) -> AsyncIterator[bytes]:
        """Server-sent events until `stopping`; a heartbeat when nothing changes."""
        yield b"retry: 2000\n\n"
        while not stopping.is_set():
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                yield _event("beat", {})
                continue
            self._woken.clear()
            for event in self._take():
                yield event

    def _take(self) -> list[bytes]:
        events = []
        if self._snapshot is not None:
            snapshot, self._snapshot = self._snapshot, None
            events.append(_event("snapshot", dict(snapshot)))
        if self._latest or self._devices:
            changes = {"latest": list(self._latest.values()), "devices": list(self._devices.values())}
            events.append(_event("changes", changes))
            self._latest.clear()
            self._devices.clear()
        if self._trouble is not None:
            since, self._trouble = self._trouble, None
            events.append(_event("trouble", {"since": since}))
        return events


class Feed:
    """The present state of one city and its readers."""

    def __init__(self, city: str, database: Database) -> None:
        self._city = city
        self._database = database
        self._latest: dict[int, dict[str, Any]] = {}
        self._devices: dict[str, dict[str, Any]] = {}
        self._known = False
        self._down_since: datetime | None = None
        self.readers: set[Reader] = set()
        self.polls = 0

    def join(self) -> Reader:
        """A new reader, which is first told everything."""
        reader = Reader(self._snapshot() if self._known else None)
        if self._down_since is not None:
            reader.trouble(self._down_since)
        self.readers.add(reader)
        return reader

    async def run(self) -> None:
        """Poll until cancelled; a database that is away is waited for."""
        clock = asyncio.get_running_loop()
        while True:
            begun = clock.time()
            try:
                await self.poll()
            except psycopg.Error as error:  # the pool's own are among them
                self._note_trouble(error)
            took = clock.time() - begun
            await asyncio.sleep(max(POLL_SECONDS - took, took * _BUSY - took, 0.05))

    async def poll(self) -> None:
        """Read once and tell every reader what changed."""
        self.polls += 1
        params = {"city": self._city}
        latest = {row["datastream_id"]: row for row in await self._database.rows(queries.LATEST, params)}
        devices = {row["device"]: row for row in await self._database.rows(queries.DEVICES, params)}
        changed = [_dressed(row) for key, row in latest.items() if self._latest.get(key) != row]
        changed_devices = [row for key, row in devices.items() if self._devices.get(key) != row]
        whole = not self._known or self._down_since is not None
        self._latest, self._devices, self._known, self._down_since = latest, devices, True, None
        for reader in self.readers:
            if whole:
                reader.restart(self._snapshot())
            else:
                reader.tell(changed, changed_devices)

    def _snapshot(self) -> dict[str, Any]:
        return {
            "latest": [_dressed(row) for row in self._latest.values()],
            "devices": list(self._devices.values()),
        }

    def _note_trouble(self, error: Exception) -> None:
        if self._down_since is None:
            self._down_since = datetime.now(UTC)
            log.get("api").warning("live_paused", city=self._city, error=type(error).__name__)
            for reader in self.readers:
                reader.trouble(self._down_since)


def _dressed(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "unit": display(row["ucum"]), "stale_after_s": stale_after_s(row["profile"])}


def _event(name: str, content: dict[str, Any]) -> bytes:
    """One event; each carries the server's time, by which clients reckon ages."""
    data = msgspec.json.encode({"now": datetime.now(UTC), **content})
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
