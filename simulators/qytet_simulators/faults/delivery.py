"""Faults of the way: records are kept back, sent late, twice, out of order, or with garbage beside them.

What is held for backfill is bounded (``MOST_HELD`` a device): beyond it the oldest are forgotten here and left to
the device's own backlog, which owns every record until it is marked stored.
"""

from collections import deque
from collections.abc import Iterator

from qytet_simulators.faults.actions import Action, Hold, Record, Resend, SendGarbage, SendHist, SendLive
from qytet_simulators.faults.garbage import spoil
from qytet_simulators.faults.luck import chance
from qytet_simulators.faults.scenario import Duplicate, Garbage, Offline, Reorder, Scenario

MOST_HELD = 10_000


class Delivery:
    """The way from one device to the broker."""

    def __init__(self, scenario: Scenario, device: str, start_ms: int) -> None:
        self._seed = scenario.seed
        self._start_ms = start_ms
        self._faults = [
            (place, fault)
            for place, fault in scenario.of(device)
            if isinstance(fault, Duplicate | Garbage | Offline | Reorder)
        ]
        self._held: deque[Record] = deque(maxlen=MOST_HELD)
        self._batch = 50
        self._mixed: list[Record] = []

    def push(self, record: Record) -> Iterator[Action]:
        """What happens to a new record, and to what had to wait for it."""
        elapsed = record.at_ms - self._start_ms
        active = [(place, fault) for place, fault in self._faults if fault.active(elapsed)]
        for _, fault in active:
            if isinstance(fault, Offline):
                self._batch = fault.batch
                self._held.append(record)
                yield Hold(record)
                return
        yield from self._send(record, active)
        yield from self.tick(record.at_ms)

    def tick(self, now_ms: int) -> Iterator[Action]:
        """What falls due at an instant: backfill once the device is back, the last of a shuffled window."""
        active = [fault for _, fault in self._faults if fault.active(now_ms - self._start_ms)]
        if any(isinstance(fault, Offline) for fault in active):
            return
        if self._mixed and not any(isinstance(fault, Reorder) for fault in active):
            yield from self._release()
        yield from self._backfill()

    def finish(self) -> Iterator[Action]:
        """All that is still held."""
        yield from self._release()
        yield from self._backfill()

    def _send(
        self, record: Record, active: list[tuple[int, Duplicate | Garbage | Offline | Reorder]]
    ) -> Iterator[Action]:
        depth = max((fault.depth for _, fault in active if isinstance(fault, Reorder)), default=0)
        if depth:
            self._mixed.append(record)
            yield Hold(record)
            if len(self._mixed) >= depth:
                yield from self._release()
        else:
            yield SendLive(record)
        for place, fault in active:
            luck = chance(self._seed, place, record.device, record.boot, record.seq)
            if isinstance(fault, Duplicate) and luck < fault.chance and not depth:
                yield Resend(record)
            elif isinstance(fault, Garbage) and luck < fault.chance:
                yield SendGarbage(record.device, "obs", spoil(record, luck / fault.chance), record.at_ms)

    def _release(self) -> Iterator[Action]:
        """Send the shuffled window, in an order that depends on its records alone."""
        self._mixed.sort(
            key=lambda record: chance(self._seed, record.device, record.boot, record.seq, "order")
        )
        yield from map(SendLive, self._mixed)
        self._mixed.clear()

    def _backfill(self) -> Iterator[Action]:
        """Send what was held as `hist`, one boot a message."""
        while self._held:
            part = [self._held.popleft()]
            while self._held and len(part) < self._batch and self._held[0].boot == part[0].boot:
                part.append(self._held.popleft())
            yield SendHist(part[0].device, part[0].boot, tuple(part))
