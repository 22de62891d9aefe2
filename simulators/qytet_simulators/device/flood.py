"""A load sent as fast as the broker takes it, or at a rate: several raw connections on one thread."""

import selectors
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qytet.errors import InputError, ServerError
from qytet_simulators.device.address import Address
from qytet_simulators.device.load import Load, Parcel, Part
from qytet_simulators.device.raw import RawLink
from qytet_simulators.device.tally import Latency

__all__ = ["FloodResult", "Pace", "flood", "prepare"]

FIRST_CONNECT_S = 15.0
GATHER_S = 0.001  # a broker writes each PUBACK by itself: taken together they cost a tenth
BURST = 2048  # packets that one connection writes before another has its turn


@dataclass(frozen=True, slots=True)
class Pace:
    """How a load is sent: messages in flight a connection, messages a second in all (None: as fast as possible).

    With `marks`, what is above the `stored` marks is sent again after `resend_after` seconds without progress,
    doubling to 60, and the flood ends when everything is marked; else it ends with the last PUBACK.
    `deadline_s` bounds the whole; at its end the account says what is open.
    """

    window: int = 2000
    rate: float | None = None
    marks: bool = False
    resend_after: float = 5.0
    deadline_s: float = 600.0


@dataclass(frozen=True, slots=True)
class FloodResult:
    """The account: `seconds` from the first packet to the last PUBACK (`marked_s`: to the last mark)."""

    records: int
    readings: int
    messages: int
    sent: int
    acked: int
    resent: int
    connects: int
    unacked: int
    unmarked: int
    seconds: float
    marked_s: float | None
    messages_per_s: float
    readings_per_s: float
    puback_ms: dict[str, float | int | None]


def prepare(load: Load, connections: int = 2) -> list[Part]:
    """Encode everything: one part a connection. Takes about 5 us a message."""
    count = min(connections, load.devices)
    return [Part(load, number, count) for number in range(count)]


def flood(
    parts: Sequence[Parcel], address: Address, pace: Pace, stop: Callable[[], bool] = lambda: False
) -> FloodResult:
    """Send the parts. Raises ServerError if no connection can be had at first."""
    if address.tls:
        raise InputError(
            "A flood speaks plain MQTT only.", do="Use a plain listener, or `qytet simulate city`."
        )
    latency = Latency()
    names = [f"flood-{part.name}-{number}" for number, part in enumerate(parts)]
    links = [
        RawLink(part, address, name, pace.window, latency) for part, name in zip(parts, names, strict=True)
    ]
    with selectors.DefaultSelector() as selector:
        pump = _Pump(links, selector, pace)
        try:
            pump.connect(stop)
            delivered = pump.run(stop)
        finally:
            for link in links:
                link.close()
    return _result(parts, links, latency, pump, delivered)


class _Pump:
    """The loop over all links."""

    def __init__(self, links: Sequence[RawLink], selector: selectors.BaseSelector, pace: Pace) -> None:
        self.links = links
        self.began = time.monotonic()
        self.ended = self.began
        self._selector = selector
        self._pace = pace
        self._watched: dict[int, tuple[Any, bool]] = {}
        self._timeout = pace.resend_after

    def connect(self, stop: Callable[[], bool]) -> None:
        """Have every link connected once before the clock starts."""
        end = time.monotonic() + FIRST_CONNECT_S
        while not stop() and not all(link.connects for link in self.links):
            if time.monotonic() >= end or any(link.refusal for link in self.links):
                why = next((link.refusal for link in self.links if link.refusal), "No answer.")
                raise ServerError(
                    "The load cannot reach the broker.",
                    why=why,
                    do="Check that it runs, and the URL, user and password (--broker or QYTET_BROKER__URL).",
                )
            self._turn(0, 0.05)

    def run(self, stop: Callable[[], bool]) -> float:
        """Send until done, told to stop or out of time; returns when the last PUBACK had come."""
        self.began = time.monotonic()
        delivered = 0.0
        written = 0
        while not stop() and (elapsed := time.monotonic() - self.began) < self._pace.deadline_s:
            written += self._turn(self._allowance(elapsed, written), self._patience())
            time.sleep(GATHER_S)
            if all(link.delivered for link in self.links):
                delivered = delivered or time.monotonic() - self.began
                if not self._pace.marks or all(link.marked for link in self.links):
                    break
                self._resend()
        self.ended = time.monotonic()
        return delivered or self.ended - self.began

    def _allowance(self, elapsed: float, written: int) -> int:
        """Packets that may be new now, for each link."""
        if self._pace.rate is None:
            return BURST
        owed = int(elapsed * self._pace.rate) + 1 - written
        return min(max(-(-owed // len(self.links)), 0), BURST)

    def _patience(self) -> float:
        """Seconds to wait for a socket: a rate has to look at the clock more often."""
        return 0.005 if self._pace.rate is not None else 0.1

    def _turn(self, allowed: int, timeout: float) -> int:
        written = 0
        now = time.monotonic()
        for link in self.links:
            link.retry(now)
            written += link.pump(allowed, readable=False)
            self._watch(link)
        for key, events in self._selector.select(timeout):
            link = key.data
            written += link.pump(
                allowed if self._pace.rate is None else 0, readable=bool(events & selectors.EVENT_READ)
            )
            self._watch(link)
        return written

    def _watch(self, link: RawLink) -> None:
        """Watch the link's socket of now, for writing only while bytes wait."""
        sock, writing = self._watched.get(id(link), (None, False))
        if sock is not link.sock:
            if sock is not None:
                self._selector.unregister(sock)
                del self._watched[id(link)]
            if link.sock is None:
                return
            self._selector.register(link.sock, selectors.EVENT_READ, link)
            writing = False
        if link.sock is not None:
            if writing != link.wants_write:
                mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.wants_write else 0)
                self._selector.modify(link.sock, mask, link)
            self._watched[id(link)] = (link.sock, link.wants_write)

    def _resend(self) -> None:
        """Send again what has no mark, once nothing has moved for a while."""
        late = [link for link in self.links if not link.marked]
        if time.monotonic() - max(link.moved_at for link in late) < self._timeout:
            return
        self._timeout = min(self._timeout * 2, 60.0)
        for link in late:
            link.resend()


def _result(
    parts: Sequence[Parcel], links: Sequence[RawLink], latency: Latency, pump: _Pump, delivered: float
) -> FloodResult:
    messages = sum(len(part.packets) for part in parts)
    records = sum(part.records for part in parts)
    readings = sum(part.readings for part in parts)
    acked = sum(link.acked for link in links)
    unmarked = sum(link.unmarked for link in links)
    return FloodResult(
        records=records,
        readings=readings,
        messages=messages,
        sent=sum(link.sent for link in links),
        acked=acked,
        resent=sum(link.resent for link in links),
        connects=sum(link.connects for link in links),
        unacked=sum(link.unacked for link in links),
        unmarked=unmarked,
        seconds=round(delivered, 4),
        marked_s=None if unmarked else round(pump.ended - pump.began, 4),
        messages_per_s=round(messages / delivered, 1),
        readings_per_s=round(readings / delivered, 1),
        puback_ms=latency.summary(),
    )
