"""Makes the gateway's health a source like any other: readings at an interval, events when it turns bad."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from qytet_contract.records import MAX_CHANNEL, MAX_VALUES
from qytet_edge.clock import Clock, Step
from qytet_edge.health.board import Board, Busy
from qytet_edge.journal import Journal
from qytet_edge.ports import Sink
from qytet_edge.records import Checkpoint, Reading, Values

__all__ = ["Health", "Parts"]

_SAMPLE_S = 10.0  # heat and voltage are looked at that often; the worst is reported
_END_S = 3.0
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_"
_ALWAYS = (
    "backlog_records",
    "dropped_records_total",
    "storage_used",
    "memory_free",
    "processor_load",
    "uptime",
    "reset_cause",
)
_SOMETIMES = ("board_temperature", "supply_undervoltage", "bytes_written_total", "flash_wear", "clock_offset")

Limit = tuple[str, float, float, str]
_LIMITS: tuple[Limit, ...] = (  # property, becomes an event above, ends below, in words
    ("board_temperature", 80, 75, "the processor is at {:.0f} degrees and slows down"),  # Pi: soft limit 80
    ("storage_used", 90, 85, "the disk of the records is {:.0f} % full"),
    ("flash_wear", 79, 70, "{:.0f} % of the storage's life is used"),
    ("supply_undervoltage", 0.5, 0.5, "the supply is below 4.63 V: power supply or cable is too weak"),
)


@dataclass(frozen=True)
class Parts:
    """What health asks the rest of the gateway, at each report; each is quick and does not raise."""

    backlog: Callable[[], int]
    """Records in the spool that the city has not confirmed."""
    dropped: Callable[[], int]
    """Records given up because the spool was full, in all."""
    errors: Callable[[], Mapping[str, int]]
    """Errors of each source since start, by its name."""


class Health:
    """A source (ports.Source) named `health`: reads the board and the parts every `interval_s` seconds.

    `sources`: the names of all sources, for the birth. Keeps the checkpoint `health`: whether the gateway was
    stopped in order (which tells a reboot from a hang), and the latest known time (for `Clock.remember`). A clock
    that is set becomes an event.
    """

    name = "health"

    def __init__(
        self,
        *,
        device: str,
        board: Board,
        parts: Parts,
        clock: Clock,
        journal: Journal,
        interval_s: float = 60,
        sources: Sequence[str] = (),
    ) -> None:
        self.deadline_s = 3 * interval_s + 60
        self._device, self._board, self._parts = device, board, parts
        self._clock, self._journal, self._interval_s = clock, journal, interval_s
        self.streams: Mapping[str, Sequence[str]] = {
            device: (*_ALWAYS, *_SOMETIMES, *(_error_key(source) for source in sources))
        }
        if clock.on_step is None:
            clock.on_step = self._clock_was_set
        self._busy: Busy | None = None
        self._hottest: float | None = None
        self._sagged: bool | None = None
        self._bad: set[str] = set()
        self._cause = 0
        self._known_ms: int | None = None
        self._last: Values = {}

    async def run(self, sink: Sink) -> None:
        """Report for ever; when it is stopped, that it was stopped in order."""
        await self._begin(sink)
        try:
            while True:
                await self._report(sink)
                await self._watch(sink)
        finally:
            with contextlib.suppress(TimeoutError):  # a full disk must not hold up the end
                await asyncio.wait_for(sink.put((), self._checkpoint(stopped=True)), _END_S)

    def state(self) -> dict[str, Any]:
        """For status: the last report, and the firmware's flags."""
        flags = self._board.throttled()
        return {**self._last, "throttled_flags": None if flags is None else f"{flags:#x}"}

    def values(self) -> Values:
        """One report, now."""
        found: dict[str, float | int | None] = {
            "backlog_records": self._parts.backlog(),
            "dropped_records_total": self._parts.dropped(),
            "storage_used": self._board.storage_used(),
            "memory_free": self._board.memory_free(),
            "processor_load": self._load(),
            "uptime": self._board.uptime(),
            "reset_cause": self._cause,
            "board_temperature": self._hottest,
            "supply_undervoltage": None if self._sagged is None else int(self._sagged),
            "bytes_written_total": self._board.bytes_written(),
            "flash_wear": self._board.wear(),
            "clock_offset": self._clock.state().offset_s,
        }
        known = {key: value for key, value in found.items() if value is not None}
        return {**known, **self._errors()}

    def _clock_was_set(self, step: Step) -> None:
        self._journal.add("warning", "clock", f"it was set by {step.by_s:+.3f} s")

    async def _begin(self, sink: Sink) -> None:
        """Read back how the last run ended: only a new Linux boot makes it the cause of a reset."""
        saved = _decoded(await sink.checkpoint(self.name))
        boot = self._clock.linux_boot
        if saved and isinstance(saved.get("known_ms"), int):
            self._known_ms = saved["known_ms"]
            self._clock.remember(saved["known_ms"])
        if saved and boot and saved.get("boot") == boot and isinstance(saved.get("cause"), int):
            self._cause = saved["cause"]
        else:
            self._cause = self._board.reset_cause(stopped_in_order=bool(saved["stopped"]) if saved else None)
        self._sample()
        self._busy = self._board.busy()

    async def _report(self, sink: Sink) -> None:
        values = self.values()
        self._last = values
        self._hottest, self._sagged = None, None
        self._sample()
        self._judge(values)
        parts = [Reading(self._device, part) for part in _portions(values)]
        await sink.put(parts, self._checkpoint(stopped=False))

    async def _watch(self, sink: Sink) -> None:
        """Until the next report: look for what lasts only seconds."""
        end = time.monotonic() + self._interval_s
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _SAMPLE_S))
            self._sample()
            sink.beat()

    def _sample(self) -> None:
        heat, sags = self._board.temperature(), self._board.undervoltage()
        if heat is not None:
            self._hottest = max(heat, self._hottest if self._hottest is not None else heat)
        if sags is not None:
            self._sagged = sags or bool(self._sagged)

    def _load(self) -> float | None:
        before, self._busy = self._busy, self._board.busy()
        if before is None or self._busy is None or self._busy.total <= before.total:
            return None
        spent = (self._busy.work - before.work) / (self._busy.total - before.total)
        return round(100 * min(1.0, max(0.0, spent)), 1)

    def _errors(self) -> dict[str, int]:
        """Errors by source; two names that look alike in a channel are counted together."""
        found: dict[str, int] = {}
        for source, count in self._parts.errors().items():
            key = _error_key(source)
            found[key] = found.get(key, 0) + count
        return found

    def _judge(self, values: Values) -> None:
        for key, above, below, words in _LIMITS:
            value = values.get(key)
            if value is None:
                continue
            if value > above and key not in self._bad:
                self._bad.add(key)
                self._journal.add("warning", "health", words.format(value))
            elif value < below and key in self._bad:
                self._bad.discard(key)
                self._journal.add("info", "health", f"{key} is well again")

    def _checkpoint(self, *, stopped: bool) -> Checkpoint:
        t_ms, tq = self._clock.stamp()
        if tq in ("ntp", "gnss"):
            self._known_ms = t_ms
        state = {
            "boot": self._clock.linux_boot,
            "cause": self._cause,
            "stopped": stopped,
            "known_ms": self._known_ms,
        }
        return Checkpoint(self.name, msgspec.json.encode(state))


def _error_key(source: str) -> str:
    """The key of a source's errors; a channel is shorter than a name may be."""
    channel = "".join(letter if letter in _LETTERS else "-" for letter in source.lower())[:MAX_CHANNEL]
    return f"sensor_errors_total:{channel}"


def _portions(values: Values) -> Iterator[Values]:
    """As many values as a record may hold, at a time."""
    keys = sorted(values)
    for start in range(0, len(keys), MAX_VALUES):
        yield {key: values[key] for key in keys[start : start + MAX_VALUES]}


def _decoded(kept: bytes | None) -> dict[str, Any] | None:
    if kept is None:
        return None
    try:
        found = msgspec.json.decode(kept, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    return found if isinstance(found.get("stopped"), bool) else None
