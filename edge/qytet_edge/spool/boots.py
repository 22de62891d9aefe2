"""One numbering of records: a device and a boot, and what the spool knows of it."""

from dataclasses import dataclass, field, replace
from itertools import islice

from qytet_edge.records import Record
from qytet_edge.spool import rows
from qytet_edge.spool.model import Held

__all__ = ["Boot", "Kept", "Key"]

Key = tuple[str, str]
"""Device and boot."""
Kept = tuple[int, Record]
"""A record and the running second in which it was kept."""


@dataclass(slots=True)
class Boot:
    """A row of the table `boot`, with what is known besides. Never changed in place but for `intake`.

    `lo`: what a relayed node says it still holds. `settled`: rows of the table `record`, `low` and `head_s` number
    and second of the lowest one above the mark (0 if there is none), `high` the highest; `dead`: some are marked and
    not yet deleted. `intake`: what lies in the intake above the mark, by number, in order of arrival.
    """

    id: int
    device: str
    boot: str
    own: bool
    next_seq: int = 1
    mark: int = 0
    lo: int = 1
    dropped: int = 0
    settled: int = 0
    low: int = 0
    high: int = 0
    head_s: int = 0
    dead: bool = False
    intake: dict[int, Kept] = field(default_factory=dict)
    seed: int = field(init=False)

    def __post_init__(self) -> None:
        self.seed = rows.seed(self.device, self.boot)

    @property
    def key(self) -> Key:
        """What names it outside of this file."""
        return self.device, self.boot

    @property
    def count(self) -> int:
        """Records kept; while marked ones wait for their deletion they count, too."""
        return self.settled + len(self.intake)

    @property
    def lowest(self) -> int:
        """The lowest number that is held, 0 if none is."""
        first = min(self.intake, default=0)
        return min(self.low, first) if self.low and first else self.low or first

    @property
    def highest(self) -> int:
        """The highest number that is held, 0 if none is."""
        return max(max(self.intake, default=0), self.high if self.low else 0)

    @property
    def oldest_s(self) -> int | None:
        """The running second in which the oldest record was kept; None if nothing is held."""
        seconds = [kept_s for kept_s, _record in islice(self.intake.values(), 1)]
        return min([*seconds, self.head_s] if self.low else seconds, default=None)

    def told(self) -> tuple[int, int, int, int]:
        """What must be written down because the records do not tell it."""
        return self.mark, self.lo, self.dropped, self.settled

    def row(self) -> tuple[int | str, ...]:
        """As the table `boot` has it."""
        row = (self.id, self.device, self.boot, int(self.own), self.next_seq, *self.told())
        return (*row, rows.checksum(*row))

    def copy(self) -> "Boot":
        """A copy that a transaction may change; it shares the intake, which only a commit changes."""
        return replace(self)

    def say_lo(self) -> int:
        """What the city may be told that it is the lowest number held anywhere.

        Own records: what is below the lowest one is stored or lost. A relayed node's word holds only for the node:
        the city would give up what lies here and has not reached it.
        """
        lowest = self.lowest
        if self.own:
            return lowest or self.next_seq
        return min(self.lo, lowest) if lowest else self.lo

    def held(self) -> Held | None:
        """What there is to send or to tell of it, if anything."""
        lowest, lo = self.lowest, self.say_lo()
        if not lowest and lo <= self.mark + 1:
            return None
        live = self.count if lowest else 0
        return Held(
            self.device,
            self.boot,
            self.own,
            lowest,
            self.highest,
            live,
            self.mark,
            lo,
            self.dropped,
            self.next_seq,
        )
