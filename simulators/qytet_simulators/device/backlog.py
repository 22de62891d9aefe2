"""What one device has accepted and not yet seen marked as stored: bounded, resent with patience, never forgotten.

Records stand on one shelf a boot. A `stored` mark takes off the shelf everything up to it. What has been sent
and is not marked within a timeout goes out again as backfill; without progress the timeout doubles. When the
backlog is full the oldest record is dropped and counted, and `lo` tells the server so. A shelf is kept until
the server has marked everything on it, the dropped part included.
"""

import math
import random
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from qytet_simulators.device.record import Record, row_bytes

__all__ = ["Backlog", "Batch", "Covered", "Patience"]

MAX_BATCH = 100
MAX_BATCH_BYTES = 30_000
MAX_SHELVES = 64
"""A device that boots for ever without a server forgets the losses of its oldest boots, and counts that."""
MAX_RESENT = 1000
"""Records that one timeout sends again; the mark is contiguous, so the front is what matters."""
NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds until a record without a mark goes out again: `first`, doubling to `most`, plus up to a quarter."""

    first: float = 5.0
    most: float = 60.0


class Batch(NamedTuple):
    """A backfill of one boot: encoded rows of these seqs (none: only the word that all below `lo` is lost)."""

    boot: str
    lo: int
    seqs: tuple[int, ...]
    rows: tuple[bytes, ...]


class Covered(NamedTuple):
    """What one mark covered: the number of records and when each was first sent (None: never)."""

    number: int
    sent_at: list[float]


@dataclass(slots=True)
class _Held:
    record: Record
    first_sent: float | None = None
    last_sent: float | None = None
    waits: bool = False


@dataclass(slots=True)
class _Shelf:
    boot: str
    timeout: float
    due: float = NEVER
    next_seq: int = 1
    marked: int = 0
    last_sent: int = 0
    held: dict[int, _Held] = field(default_factory=dict)  # in order of seq
    waiting: deque[int] = field(default_factory=deque)

    @property
    def lo(self) -> int:
        return next(iter(self.held), self.next_seq)

    @property
    def unreported(self) -> bool:
        """Whether records were lost below `lo` and no mark shows yet that the server knows."""
        return self.marked < self.lo - 1


class Backlog:
    """The records of one device, all boots; `capacity` counts records."""

    def __init__(
        self,
        capacity: int = 10_000,
        *,
        patience: Patience | None = None,
        seed: object = 0,
        faithful: bool = True,
    ) -> None:
        if capacity < 1:
            raise ValueError("a backlog holds at least one record")
        self.capacity = capacity
        self.dropped = 0
        self.resent = 0
        self.backfilled = 0
        self._patience = patience or Patience()
        self._dice = random.Random(str(seed))
        self._faithful = faithful
        self._shelves: dict[str, _Shelf] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def boots(self) -> tuple[str, ...]:
        """Boots with something not yet marked, oldest first."""
        return tuple(self._shelves)

    @property
    def settled(self) -> bool:
        """Whether the server has accounted for everything, losses included."""
        return not any(
            shelf.held or (self._faithful and shelf.unreported) for shelf in self._shelves.values()
        )

    def lo(self, boot: str) -> int:
        """The lowest seq of this boot that is still held, or the next one to come."""
        shelf = self._shelves.get(boot)
        return shelf.lo if shelf else 1

    def seqs(self, boot: str) -> tuple[int, ...]:
        """The seqs held of one boot."""
        shelf = self._shelves.get(boot)
        return tuple(shelf.held) if shelf else ()

    def accept(self, boot: str, record: Record) -> list[tuple[str, int]]:
        """Keep a record; returns boot and seq of what had to be dropped for it.

        Raises ValueError unless `seq` follows the last one of its boot.
        """
        shelf = self._shelves.get(boot)
        if shelf is None:
            shelf = self._shelves[boot] = _Shelf(boot, self._patience.first, next_seq=record.seq)
            shelf.marked = record.seq - 1
            self._forget_shelves()
        if record.seq != shelf.next_seq:
            raise ValueError(f"record {record.seq} of boot {boot} follows {shelf.next_seq - 1}")
        dropped = [self._drop_oldest() for _ in range(self._size - self.capacity + 1)]
        shelf.held[record.seq] = _Held(record)
        shelf.next_seq += 1
        self._size += 1
        return dropped

    def postpone(self, boot: str, seq: int) -> None:
        """A record could not go out live: it waits for the next backfill."""
        shelf = self._shelves.get(boot)
        held = shelf.held.get(seq) if shelf else None
        if shelf and held and not held.waits:
            held.waits = True
            shelf.waiting.append(seq)

    def sent(self, boot: str, seqs: tuple[int, ...], now: float) -> None:
        """These records have just been handed to the broker; `now` in seconds of a monotonic clock."""
        shelf = self._shelves.get(boot)
        if shelf is None:
            return
        for seq in seqs:
            held = shelf.held.get(seq)
            if held:
                held.last_sent = now
                held.first_sent = now if held.first_sent is None else held.first_sent
                shelf.last_sent = max(shelf.last_sent, seq)
        if shelf.due == NEVER:
            shelf.due = now + self._jittered(shelf.timeout)

    def mark(self, boot: str, seq: int, now: float) -> Covered | None:
        """The server has accounted for everything up to `seq` of `boot`; None if that boot is unknown here."""
        shelf = self._shelves.get(boot)
        if shelf is None:
            return None
        covered = [shelf.held.pop(first) for first in _up_to(shelf.held, seq)]
        self._size -= len(covered)
        if seq > shelf.marked:
            shelf.marked = min(seq, shelf.next_seq - 1)
            shelf.timeout = self._patience.first
            shelf.due = now + self._jittered(shelf.timeout)
        _trim(shelf)
        self._clear(shelf)
        return Covered(len(covered), [held.first_sent for held in covered if held.first_sent is not None])

    def trust(self, boot: str, seqs: tuple[int, ...]) -> int:
        """Give up records on a PUBACK alone, as a device does that does not honour the contract."""
        shelf = self._shelves.get(boot)
        if shelf is None:
            return 0
        gone = [seq for seq in seqs if shelf.held.pop(seq, None)]
        self._size -= len(gone)
        _trim(shelf)
        self._clear(shelf)
        return len(gone)

    def reconnected(self, now: float) -> None:
        """A new connection may mean a broker that lost what it had: be as patient as at first, not more."""
        for shelf in self._shelves.values():
            shelf.timeout = self._patience.first
            if shelf.due != NEVER or shelf.unreported:
                shelf.due = now + self._jittered(shelf.timeout)

    @property
    def due(self) -> float:
        """When `take` will have something, in seconds of the monotonic clock; 0 for now, infinity for never."""
        soonest = NEVER
        for shelf in self._shelves.values():
            if shelf.waiting:
                return 0.0
            soonest = min(soonest, shelf.due)
        return soonest

    def take(self, now: float, most: int = MAX_BATCH) -> Batch | None:
        """The next backfill of at most `most` records, oldest boot first; None if nothing is due."""
        for shelf in self._shelves.values():
            word = self._expire(shelf, now)
            batch = self._batch(shelf, most, now)
            if batch or word:
                return batch or Batch(shelf.boot, shelf.lo, (), ())
        return None

    def _expire(self, shelf: _Shelf, now: float) -> bool:
        """Queue again what got no mark in time; whether at least a word about losses has to go out."""
        if now < shelf.due:
            return False
        if not self._faithful:
            shelf.due = NEVER
            return False
        late = [
            seq
            for seq, held in islice(shelf.held.items(), MAX_RESENT)
            if not held.waits and self._is_late(shelf, seq, held, now)
        ]
        for seq in late:
            shelf.held[seq].waits = True
            shelf.waiting.append(seq)
        if late or shelf.unreported:
            shelf.timeout = min(shelf.timeout * 2, self._patience.most)
        shelf.due = now + self._jittered(shelf.timeout)
        return shelf.unreported

    def _is_late(self, shelf: _Shelf, seq: int, held: _Held, now: float) -> bool:
        """No mark in time; or never sent although later ones were, so nobody else will send it."""
        if held.last_sent is None:
            return seq < shelf.last_sent
        return now - held.last_sent >= self._patience.first

    def _batch(self, shelf: _Shelf, most: int, now: float) -> Batch | None:
        seqs: list[int] = []
        rows: list[bytes] = []
        room = MAX_BATCH_BYTES
        while shelf.waiting and len(seqs) < min(most, MAX_BATCH) and room > 0:
            seq = shelf.waiting.popleft()
            held = shelf.held.get(seq)
            if held is None:
                continue
            held.waits = False
            self.resent += held.first_sent is not None
            self.backfilled += held.first_sent is None
            rows.append(row_bytes(held.record))
            seqs.append(seq)
            room -= len(rows[-1]) + 1
        if not seqs:
            return None
        self.sent(shelf.boot, tuple(seqs), now)
        return Batch(shelf.boot, shelf.lo, tuple(seqs), tuple(rows))

    def _drop_oldest(self) -> tuple[str, int]:
        shelf = next(shelf for shelf in self._shelves.values() if shelf.held)
        seq = next(iter(shelf.held))
        del shelf.held[seq]
        self._size -= 1
        self.dropped += 1
        _trim(shelf)
        if shelf.due == NEVER:
            shelf.due = 0.0
        return shelf.boot, seq

    def _clear(self, shelf: _Shelf) -> None:
        """Put an old boot's empty shelf away; the newest stays, as more is to come."""
        newest = next(reversed(self._shelves))
        if shelf.held:
            return
        if not shelf.unreported:
            shelf.due = NEVER
        if shelf.boot != newest and (not shelf.unreported or not self._faithful):
            del self._shelves[shelf.boot]

    def _forget_shelves(self) -> None:
        """Put away what a newer boot has replaced, and hold the number of shelves within bounds."""
        for shelf in list(self._shelves.values())[:-1]:
            self._clear(shelf)
        while len(self._shelves) > MAX_SHELVES:
            shelf = self._shelves.pop(next(iter(self._shelves)))
            self.dropped += len(shelf.held)
            self._size -= len(shelf.held)

    def _jittered(self, timeout: float) -> float:
        return timeout * (1 + self._dice.random() / 4)


def _trim(shelf: _Shelf) -> None:
    """Drop what no longer stands on the shelf from the front of its queue, so that the queue stays bounded."""
    while shelf.waiting and shelf.waiting[0] not in shelf.held:
        shelf.waiting.popleft()


def _up_to(held: dict[int, _Held], seq: int) -> list[int]:
    found = []
    for first in held:
        if first > seq:
            break
        found.append(first)
    return found
