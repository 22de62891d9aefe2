"""The line to the city while it stands and while it does not: what is in flight on it, and who waits for room."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from qytet_edge.uplink.connection import Connection
from qytet_edge.uplink.manners import Manners

__all__ = ["Fate", "Flight", "Line", "Totals"]

Fate = Literal["acked", "refused", "lost"]
"""What became of a message: the broker has it, will not have it, or the connection ended first."""

OVERHEAD = 12  # bytes of a PUBLISH beside topic and payload: fixed header, lengths, packet id, properties


@dataclass(slots=True)
class Totals:
    """What the uplink did since it was started; times in monotonic seconds."""

    connects: int = 0
    messages: int = 0
    bytes: int = 0
    live: int = 0
    backfilled: int = 0
    resent: int = 0
    refused: int = 0
    strange: int = 0
    marks: int = 0
    commands: int = 0
    puback_at: float | None = None
    mark_at: float | None = None


@dataclass(slots=True, frozen=True)
class Flight:
    """A message without a PUBACK; `done` is called once, with what became of it."""

    done: Callable[[Fate], None]
    backfill: bool = False


class Line:
    """What the senders share. All of it lives on the event loop; nothing here waits for the network."""

    def __init__(self, manners: Manners, clock: Callable[[], float] = time.monotonic) -> None:
        self.totals = Totals()
        self.clock = clock
        self.up = asyncio.Event()
        self.refusal = ""
        self.since = clock()
        """When the line last came up or went down."""
        self.packet_maximum = 0
        self._manners = manners
        self._window = manners.window
        self._connection: Connection | None = None
        self._flights: dict[int, Flight] = {}
        self._backfill = 0
        self._moved_at = clock()
        self._bells: list[asyncio.Event] = []

    def bell(self) -> asyncio.Event:
        """An event that is set whenever the line changes: up, down, room. Its owner clears it."""
        bell = asyncio.Event()
        self._bells.append(bell)
        return bell

    @property
    def in_flight(self) -> int:
        """Messages without a PUBACK."""
        return len(self._flights)

    @property
    def backfill_in_flight(self) -> int:
        """Backfill messages among them."""
        return self._backfill

    @property
    def room(self) -> int:
        """How many messages may go out now."""
        return self._window - len(self._flights) if self.up.is_set() else 0

    @property
    def stalled(self) -> bool:
        """Whether messages are in flight and the broker has acknowledged nothing for too long."""
        return bool(self._flights) and self.clock() - self._moved_at > self._manners.stall_s

    @property
    def batch_bytes(self) -> int:
        """The longest payload of a batch, in bytes: ours or what the broker allows."""
        allowed = self.packet_maximum - 300 if self.packet_maximum else self._manners.batch_bytes
        return max(min(self._manners.batch_bytes, allowed), 1000)

    def opened(self, connection: Connection, receive_maximum: int, packet_maximum: int) -> None:
        """A new connection stands."""
        self._connection = connection
        self._window = max(1, min(self._manners.window, receive_maximum))
        self.packet_maximum = packet_maximum
        self.refusal = ""
        self.since = self._moved_at = self.clock()
        self.totals.connects += 1
        self.up.set()
        self.ring()

    def down(self, why: str) -> None:
        """The connection ended; everything without a PUBACK counts as not sent."""
        self.refusal = why
        self._connection = None
        self._lower()
        flights, self._flights, self._backfill = self._flights, {}, 0
        for flight in flights.values():
            flight.done("lost")
        self.ring()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        done: Callable[[Fate], None] = lambda _fate: None,
        retain: bool = False,
        backfill: bool = False,
    ) -> None:
        """Send with QoS 1; while the line is down it is lost at once, and what the broker cannot take is refused."""
        size = len(topic) + len(payload) + OVERHEAD
        # What is too long would end the line, and do so again and again.
        if self.packet_maximum and size > self.packet_maximum:
            self._refuse(f"it has {size} bytes, and the broker takes {self.packet_maximum}")
            done("refused")
            return
        mid = 0
        if self._connection is not None and self.up.is_set():
            mid = self._connection.publish(topic, payload, retain=retain)
            if not mid:  # it was cut a moment ago, and its end is still on its way to us
                self._lower()
        if not mid:
            done("lost")
            return
        if not self._flights:
            self._moved_at = self.clock()
        self._flights[mid] = Flight(done, backfill)
        self._backfill += backfill
        self.totals.messages += 1
        self.totals.bytes += size

    def acknowledged(self, connection: Connection, mid: int, refusal: str) -> None:
        """A PUBACK came; those of an older connection count for nothing."""
        flight = self._flights.pop(mid, None) if connection is self._connection else None
        if flight is None:
            return
        self._backfill -= flight.backfill
        self._moved_at = self.totals.puback_at = self.clock()
        if refusal:
            self._refuse(refusal)
        flight.done("refused" if refusal else "acked")
        self.ring()

    def _lower(self) -> None:
        if self.up.is_set():
            self.up.clear()
            self.since = self.clock()

    def _refuse(self, why: str) -> None:
        self.totals.refused += 1
        self.refusal = f"the broker refused a message: {why}"

    def ring(self) -> None:
        """Wake whoever waits for a change."""
        for bell in self._bells:
            bell.set()
