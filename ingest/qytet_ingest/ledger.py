"""What arrived of each boot of each device: the memory of the delivery ledger, and the `stored` marks.

    received   committed as observations or waiting for a time; seen again, it is a duplicate
    rejected   kept as dead letters; a good record of that number is still welcome
    dropped    given up by the device itself; likewise still welcome

The mark is the highest number up to which all are one of the three, and committed.
"""

from dataclasses import dataclass, field

from qytet_contract import codes
from qytet_ingest.rangeset import RangeSet

__all__ = ["Boot"]


@dataclass(slots=True, eq=False)
class Boot:
    """One boot of one device. `next` is the number that comes if nothing is out of order.

    What is `fresh`, and the counters, are what the batch in hand adds to the ledger.
    """

    device_id: int
    boot: str
    received: RangeSet = field(default_factory=RangeSet)
    rejected: RangeSet = field(default_factory=RangeSet)
    dropped: RangeSet = field(default_factory=RangeSet)
    anchor_ms: int | None = None
    undated: bool = False
    reply: bytes = b""
    next: int = 1
    fresh: list[int] = field(default_factory=list)
    fresh_rejected: list[int] = field(default_factory=list)
    fresh_dropped: list[tuple[int, int]] = field(default_factory=list)
    duplicates: int = 0
    late: int = 0
    readings: int = 0
    suspect: int = 0
    failed: int = 0
    touched: bool = False

    def __post_init__(self) -> None:
        """Continue where the ledger ends."""
        self.next = self.received.end

    def receive(self, seq: int) -> bool:
        """Account for a record that is to be stored; False if it is a duplicate, which is counted."""
        if not self.received.add(seq):
            self.duplicates += 1
            return False
        self.next = self.received.end
        self.fresh.append(seq)
        return True

    def learn(self, received: RangeSet, rejected: RangeSet, dropped: RangeSet) -> None:
        """Take over what is committed, by whomever."""
        self.received = self.received.union(received)
        self.rejected = self.rejected.union(rejected)
        self.dropped = self.dropped.union(dropped)
        self.next = self.received.end

    @property
    def has_gap(self) -> bool:
        """Whether something below the highest number has not come, as far as memory knows."""
        return self.mark() < self.next - 1

    def reject(self, seq: int) -> None:
        """Account for a record that becomes a dead letter."""
        if self.rejected.add(seq):
            self.fresh_rejected.append(seq)

    def unreceive(self, seq: int) -> None:
        """Take back `receive`: the database refused the record, it becomes a dead letter."""
        self.received.discard(seq)
        self.next = self.received.end
        if seq in self.fresh:
            self.fresh.remove(seq)
        self.reject(seq)

    def count(self, qualities: list[int]) -> None:
        """Count readings stored, by their quality."""
        self.readings += len(qualities)
        self.suspect += qualities.count(codes.SUSPECT)
        self.failed += qualities.count(codes.FAIL)

    def holds_from(self, lowest: int) -> None:
        """The device holds nothing below `lowest` any more: what never came is dropped."""
        if self.received.contiguous_from(1) >= lowest - 1:
            return
        for start, end in self.received.union(self.rejected, self.dropped).gaps(1, lowest):
            self.dropped.add_range(start, end)
            self.fresh_dropped.append((start, end))

    def mark(self) -> int:
        """The highest sequence number up to which everything is accounted for and committed; 0 if nothing is.

        What is fresh may still be lost with this process: a device that was told of it too early would forget it.
        """
        if not self.rejected and not self.dropped:
            top = self.received.contiguous_from(1)
        else:
            top = self.received.union(self.rejected, self.dropped).contiguous_from(1)
        fresh = [*self.fresh, *self.fresh_rejected, *(start for start, _ in self.fresh_dropped)]
        return min(top, min(fresh) - 1) if fresh else top

    def undo(self) -> None:
        """What was fresh is not committed after all, and whoever brought it tries again or gives up."""
        for seq in self.fresh:
            self.received.discard(seq)
        for seq in self.fresh_rejected:
            self.rejected.discard(seq)
        for start, end in self.fresh_dropped:
            self.dropped.discard_range(start, end)
        self.next = self.received.end
        self.settle()

    def settle(self) -> None:
        """What was fresh is committed."""
        self.fresh.clear()
        self.fresh_rejected.clear()
        self.fresh_dropped.clear()
        self.duplicates = 0
        self.late = 0
        self.readings = self.suspect = self.failed = 0
        self.touched = False
