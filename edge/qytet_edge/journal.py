"""The gateway's events: what a rule did, a clock that was set, a supply that sags; for status and for the city.

Each event becomes a `log` message of the gateway's own device, kept in the spool until the broker has it.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from qytet import log
from qytet_contract import VERSION, topics
from qytet_contract.notices import MAX_TEXT
from qytet_edge.records import Notice

__all__ = ["Event", "Journal", "Level", "Life", "log_notice"]

Level = Literal["debug", "info", "warning", "error"]
_UNSENT = 1000  # events that wait for the disk; older ones give way, and are counted
_BURST = 60  # events of one subject that are told at once, and
_REFILL_S = 10.0  # the seconds after which one more may be
_SUBJECTS = 500
_LAST_WORDS_S = 2.0

_log = log.get("edge.events")


class Life(Protocol):
    """The numbering of records that events belong to, and where they are kept: the spool has all three."""

    @property
    def boot(self) -> str:
        """The boot id in force, 8 hexadecimal digits."""

    def up_ms(self) -> int:
        """Milliseconds since that boot began."""

    async def notify(self, notice: Notice) -> object:
        """Keep a message until the broker has it."""


class Event(NamedTuple):
    """What happened: Unix ms by the machine's clock (0 if unset), level, subject (`rule dim`), and a sentence."""

    at_ms: int
    up_ms: int
    level: Level
    subject: str
    message: str


class Journal:
    """Takes events at once, shows the latest, and passes them on while `run` runs. Of one event loop.

    A subject that will not stop talking (more than a burst, then one in ten seconds) is counted, not told; its
    next event says how many were left out.
    """

    def __init__(
        self,
        device: str,
        life: Life,
        *,
        shown: int = 100,
        now: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.unsaid = 0
        self._device, self._life = device, life
        self._now, self._wall_ms = now, wall_ms
        self._shown: deque[Event] = deque(maxlen=shown)
        self._unsent: deque[Event] = deque()
        self._budgets: dict[str, _Budget] = {}
        self._news = asyncio.Event()

    def add(self, level: Level, subject: str, message: str) -> None:
        """Record an event; never waits."""
        budget = self._budget(subject)
        left_out = budget.take(self._now())
        if left_out is None:
            self.unsaid += 1
            return
        if left_out:
            message = f"{message} (and {left_out} events that were not told)"
        event = Event(self._wall_ms() or 0, self._life.up_ms(), level, subject, message)
        getattr(_log, level)(message, subject=subject)
        self._shown.append(event)
        if len(self._unsent) >= _UNSENT:
            self._unsent.popleft()
            self.unsaid += 1
        self._unsent.append(event)
        self._news.set()

    async def run(self) -> None:
        """Keep every event in the spool, for ever; cancelled, also those of the end, if the disk takes them soon."""
        keeping: asyncio.Task[None] | None = None
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                keeping = asyncio.create_task(self._keep())
                await asyncio.shield(keeping)  # a write that is given up may be kept all the same
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    if keeping is not None:
                        await keeping
                    await self._keep()

    async def _keep(self) -> None:
        while self._unsent:
            event = self._unsent[0]
            await self._life.notify(log_notice(self._device, self._life.boot, event))
            if self._unsent and self._unsent[0] is event:
                self._unsent.popleft()

    def recent(self) -> list[dict[str, Any]]:
        """The latest events for status, newest first."""
        return [
            {"at_ms": event.at_ms or None, "level": event.level, "event": f"{event.subject}: {event.message}"}
            for event in reversed(self._shown)
        ]

    def _budget(self, subject: str) -> "_Budget":
        if subject not in self._budgets and len(self._budgets) >= _SUBJECTS:
            del self._budgets[next(iter(self._budgets))]
        return self._budgets.setdefault(subject, _Budget(self._now()))


class _Budget:
    """How many events of a subject may be told: a bucket that refills."""

    def __init__(self, now: float) -> None:
        self._left, self._at, self._kept_back = float(_BURST), now, 0

    def take(self, now: float) -> int | None:
        """How many were kept back before this one, which may be told; None if it may not."""
        self._left = min(_BURST, self._left + (now - self._at) / _REFILL_S)
        self._at = now
        if self._left < 1:
            self._kept_back += 1
            return None
        self._left -= 1
        kept_back, self._kept_back = self._kept_back, 0
        return kept_back


def log_notice(device: str, boot: str, event: Event) -> Notice:
    """The event as the contract's `log` message; a text too long for it is cut."""
    text = f"{event.subject}: {event.message}"
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    payload = {"v": VERSION, "boot": boot, "up": event.up_ms, "lvl": event.level, "msg": text}
    return Notice(device, topics.LOG, msgspec.json.encode(payload))
