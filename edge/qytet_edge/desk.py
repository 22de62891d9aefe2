"""A source's desk: takes in what it reads, and knows how it is: progress, last readings, errors, restarts."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from qytet import log
from qytet_edge.records import Checkpoint, Notice, Reading, Relayed

__all__ = ["Account", "Desk", "Last", "Store"]

MOST_DEVICES = 2000
"""Devices of which a source's account keeps the last reading and the errors; the one silent longest makes room."""
MOST_KEYS = 256
"""Values of a device that are shown; a device that speaks of ever new keys begins again."""
MOST_CHARACTERS = 300
"""Of what is told of a trouble; a stranger's bytes may stand in it."""
TELL_S = (60.0, 3600.0)
"""Seconds between two log lines about a device; while it is the same trouble they double, up to the second."""
LASTS = 2
"""A trouble that was away for so many times that pause is a new one."""

_log = log.get("inbox")


class Store(Protocol):
    """What a desk needs of the spool."""

    async def put(self, readings: Sequence[Reading], checkpoint: Checkpoint | None = None) -> object:
        """As ports.Sink."""

    async def relay(self, records: Sequence[Relayed]) -> object:
        """As ports.Sink."""

    async def holds(self, device: str, boot: str, lo: int) -> object:
        """As ports.Sink."""

    async def notify(self, notice: Notice) -> object:
        """As ports.Sink."""

    async def checkpoint(self, source: str) -> bytes | None:
        """As ports.Sink."""


class Last(msgspec.Struct):
    """What a device last said: wall clock of its acceptance (Unix ms), monotonic seconds, values; counts."""

    at_ms: int = 0
    at: float = 0.0
    records: int = 0
    errors: int = 0
    error: str = ""
    values: dict[str, float | int | None] = msgspec.field(default_factory=dict)


class _Told(msgspec.Struct):
    """What was last logged of a device's troubles, when, and how long nothing more is."""

    what: str = ""
    at: float = float("-inf")
    seen: float = float("-inf")
    pause: float = TELL_S[0]
    unsaid: int = 0

    def is_due(self, what: str, now: float) -> bool:
        """Whether this trouble is to be logged now."""
        lasts = what == self.what and now - self.seen < LASTS * self.pause
        self.seen = now
        if now - self.at < (self.pause if lasts else TELL_S[0]):
            return False
        self.pause = min(2 * self.pause, TELL_S[1]) if lasts else TELL_S[0]
        self.what, self.at = what, now
        return True


class Account:
    """How one source is; outlives its restarts. `state`: waiting, running, stuck or stopped."""

    def __init__(self, name: str, now: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.now = now
        self.state = "waiting"
        self.records = 0
        self.errors = 0
        self.restarts = 0
        self.error = ""
        self.devices: dict[str, Last] = {}
        self.progress_at = now()
        self.putting = 0
        self._told: dict[str, _Told] = {}

    def progress(self) -> None:
        """A sign of life."""
        self.progress_at = self.now()

    def heard(self, device: str, values: Any, count: int = 1) -> None:
        """A device's record was accepted."""
        last = self._last(device)
        last.at_ms = time.time_ns() // 1_000_000
        last.at = self.now()
        last.records += count
        if len(last.values) > MOST_KEYS:
            last.values = {}
        last.values.update(values)
        self.records += count

    def trouble(self, what: str, device: str = "") -> None:
        """Count an error; log the first, then one line a minute for each device, and ever fewer of one that lasts."""
        what = _plain(what)
        self.errors += 1
        self.error = what
        if device:
            last = self._last(device)
            last.errors += 1
            last.error = what
        if device not in self._told:
            _bounded(self._told)
        told = self._told.setdefault(device, _Told())
        if told.is_due(what, self.now()):
            _log.warning("trouble", source=self.name, device=device, what=what, unsaid=told.unsaid)
            told.unsaid = 0
        else:
            told.unsaid += 1

    def state_now(self) -> dict[str, Any]:
        """For status: plain values; `seen_s` and `progress_s` are ages in seconds."""
        now = self.now()
        return {
            "name": self.name,
            "state": self.state,
            "records": self.records,
            "errors": self.errors,
            "restarts": self.restarts,
            "last_error": self.error,
            "progress_s": round(now - self.progress_at, 1),
            "waiting_for_disk": self.putting > 0,
            "devices": {
                name: {
                    "records": last.records,
                    "errors": last.errors,
                    "last_error": last.error,
                    "at_ms": last.at_ms or None,
                    "seen_s": round(now - last.at, 1) if last.at_ms else None,
                    "values": last.values,
                }
                for name, last in sorted(self.devices.items())
            },
        }

    def _last(self, device: str) -> Last:
        found = self.devices.pop(device, None)
        if found is None:
            _bounded(self.devices)
            found = Last()
        self.devices[device] = found  # at the end: the first is the one that has been silent longest
        return found


class Desk:
    """The Sink of one run of a source. A run that is over cannot put anything: its successor has the checkpoint."""

    def __init__(
        self, account: Account, store: Store, accepted: Callable[[Sequence[Reading]], None] | None = None
    ) -> None:
        self._account = account
        self._store = store
        self._accepted = accepted
        self._closed = False

    def close(self) -> None:
        """The run is over."""
        self._closed = True

    async def put(self, readings: Sequence[Reading], checkpoint: Checkpoint | None = None) -> None:
        """Accept readings; as ports.Sink says."""
        await self._while_putting(self._store.put, readings, checkpoint)
        for reading in readings:
            self._account.heard(reading.device, reading.values)
        if self._accepted and readings:
            self._accepted(readings)

    async def relay(self, records: Sequence[Relayed]) -> None:
        """Accept a nearby node's records; as ports.Sink says."""
        await self._while_putting(self._store.relay, records)
        readings = [_reading(record) for record in records]
        for reading in readings:
            self._account.heard(reading.device, reading.values)
        dated = [reading for reading in readings if reading.t_ms is not None]  # others may be of last week
        if self._accepted and dated:
            self._accepted(dated)

    async def holds(self, device: str, boot: str, lo: int) -> None:
        """A nearby node holds nothing below `lo` any more; as ports.Sink says."""
        await self._while_putting(self._store.holds, device, boot, lo)

    async def notify(self, notice: Notice) -> None:
        """Accept a message that is no record; as ports.Sink says."""
        await self._while_putting(self._store.notify, notice)

    async def checkpoint(self, source: str) -> bytes | None:
        """The state that this source last kept, or None."""
        return await self._store.checkpoint(source)

    def beat(self) -> None:
        """A sign of life without a reading."""
        self._account.progress()

    def trouble(self, what: str, *, device: str = "") -> None:
        """One failed read."""
        self._account.trouble(what, device)

    async def _while_putting(self, act: Callable[..., Any], *args: Any) -> None:
        """While the disk makes us wait, the source is not to blame: its deadline stands still."""
        if self._closed:
            raise RuntimeError(f"this run of {self._account.name} is over")
        self._account.putting += 1
        try:
            await act(*args)
        finally:
            self._account.putting -= 1
            self._account.progress()


def _reading(record: Relayed) -> Reading:
    """A relayed record as the rules see it."""
    try:
        values = msgspec.json.decode(record.m, type=dict[str, float | int | None])
    except msgspec.MsgspecError:  # the city judges it, not we
        values = {}
    return Reading(record.device, values, record.t_ms, record.tq)


def _plain(text: str) -> str:
    """One line that a terminal may print: an instrument or a server must not move a technician's cursor."""
    text = text[:MOST_CHARACTERS]
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    )


def _bounded(table: dict[str, Any]) -> None:
    while len(table) >= MOST_DEVICES:
        del table[next(iter(table))]
