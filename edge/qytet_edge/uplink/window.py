"""What one boot of one device has on its way: sent and not marked, due again, or not sent yet.

The city's `stored` mark tells up to which number everything is accounted for. What was sent above it waits
for a mark; a wait without progress ends in sending again, first everything that is late, then, ever more
rarely, one batch that finds out whether anybody stores. Any progress or new connection makes it eager again.

What is late is told by two generations instead of a time for each record: at every turn what was sent before the
last turn has waited for at least one whole patience.
"""

import math
import random

from qytet_edge.uplink.manners import Manners
from qytet_edge.uplink.ranges import Ranges

__all__ = ["MAX_PIECES", "Window"]

MAX_PIECES = 2000
"""Ranges that a set may have; beyond it the highest is forgotten, and sent again some day."""
NEVER = math.inf


class Window:
    """One boot of one device. `now` is always monotonic seconds."""

    def __init__(self, device: str, boot: str, manners: Manners, dice: random.Random) -> None:
        self.device = device
        self.boot = boot
        self.mark = 0
        self.lowest = 1
        self.highest = 0
        self.held = 0
        self.lo = 1
        self.tells_losses = False
        """Whether what lies below `lo` is lost, and no mark shows yet that the city knows."""
        self.live_since_progress = 0
        self.asked_at = NEVER
        """Since when the city has confirmed nothing of what it was sent: the first send since its last mark."""
        self._told_lo = 0
        self._tell_at = -NEVER
        self._tell_s = manners.mark_s[0]
        self._manners = manners
        self._dice = dice
        self._recent = Ranges()
        self._older = Ranges()
        self._backfilled = Ranges()
        self._again = Ranges()
        self._cursor = 0
        self._failures = 0
        self._timeout = manners.mark_s[0]
        self._due = NEVER
        self._turn = NEVER

    @property
    def outstanding(self) -> int:
        """Records sent and not marked."""
        return len(self._recent) + len(self._older)

    @property
    def unsent(self) -> int:
        """Records that the spool holds and that are not on their way."""
        return max(self.held - self.outstanding, 0)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to send, to wait for or to tell."""
        return not (self.outstanding or self.unsent or self.tells_losses)

    @property
    def may_go_live(self) -> bool:
        """Whether a live record of this boot may go out, although nobody may be storing."""
        return self.live_since_progress < self._manners.live_window

    @property
    def room(self) -> int:
        """How many more records may be backfilled before a mark has to come."""
        return self._manners.backfill_window - len(self._backfilled)

    def look(self, *, lowest: int, highest: int, held: int, mark: int, lo: int) -> None:
        """What the spool holds of this boot now; `lo` is the lowest number that it says to hold."""
        self.held, self.lo = held, lo
        self.mark = max(self.mark, mark)
        if held:
            self.lowest, self.highest = lowest, highest
        self._forget(lowest if held else lo)
        self.tells_losses = lo - 1 > self.mark

    def look_nothing(self) -> None:
        """The spool holds nothing of this boot and has nothing to tell: all is marked."""
        self.held = 0
        self.tells_losses = False
        self.asked_at = NEVER

    def is_out(self, seq: int) -> bool:
        """Whether this record is on its way or marked already."""
        return seq <= self.mark or seq in self._recent or seq in self._older

    def sent(self, seq: int, now: float, *, live: bool) -> bool:
        """This record was handed to the broker's connection; whether it was so before."""
        if not self.outstanding:
            self._arm(now)
        self.asked_at = min(self.asked_at, now)
        self._recent.add(seq, seq + 1)
        again = seq in self._again
        if live:
            self.live_since_progress += 1
        else:
            self._backfilled.add(seq, seq + 1)
        if self._recent.pieces > MAX_PIECES:
            self._recent.drop_last()
        return again

    def told(self, now: float) -> None:
        """The word about losses went out; each backfill says it, too."""
        if not self.tells_losses:
            return
        if self.lo == self._told_lo:
            self._tell_s = min(self._tell_s * 2, self._manners.mark_s[1])
        self._told_lo, self._tell_at = self.lo, now + self._tell_s

    def must_tell(self, now: float) -> bool:
        """Whether the word about losses has to go out now: at once, then ever more rarely until a mark shows it."""
        return self.tells_losses and (self.lo > self._told_lo or now >= self._tell_at)

    def unsend(self, seqs: list[int]) -> None:
        """The connection ended before the broker had these: they wait for the next one."""
        for seq in seqs:
            self._recent.discard(seq, seq + 1)
            self._older.discard(seq, seq + 1)
            self._backfilled.discard(seq, seq + 1)
            self._again.add(seq, seq + 1)
        if self._again.pieces > MAX_PIECES:
            self._again.clear()
        self._cursor = 0

    def marked(self, seq: int, now: float) -> bool:
        """A mark came; whether it is progress."""
        if seq <= self.mark:
            return False
        self.mark = seq
        self.held = (
            max(self.held - (min(seq, self.highest) - self.lowest + 1), 0)
            if seq >= self.lowest
            else self.held
        )
        self.lowest = max(self.lowest, seq + 1)
        self._forget(seq + 1)
        self.tells_losses = self.lo - 1 > self.mark
        self._be_eager(now)
        return True

    def reconnected(self, now: float) -> None:
        """A new connection may mean a broker that lost what it had: be as patient as at first, not more."""
        self._told_lo = 0
        self._be_eager(now)

    def tick(self, now: float) -> None:
        """Let time pass: what is late without a mark becomes unsent again."""
        if now < self._turn:
            return
        self._turn = now + self._manners.mark_s[0]
        if now >= self._due and self._older:
            self._expire(now)
        self._older.update(self._recent)
        self._recent.clear()

    def next_unsent(self) -> int:
        """The lowest number that may be held and unsent from where reading has come to; 0 if this pass is over."""
        if not self.unsent:
            self._cursor = 0
            return 0
        seq = max(self._cursor, self.mark + 1, self.lowest)
        while True:
            further = self._older.next_outside(self._recent.next_outside(seq))
            if further == seq:
                break
            seq = further
        if seq > self.highest:
            self._cursor = 0
            return 0
        return seq

    def read_to(self, seq: int) -> None:
        """Reading has come so far in this pass; numbers up to here that are unsent are not held."""
        self._cursor = seq + 1

    def _expire(self, now: float) -> None:
        self._failures += 1
        self._timeout = min(self._timeout * 2, self._manners.mark_s[1])
        self._due = now + self._jittered()
        if self._failures == 1:
            late, self._older = self._older, Ranges()
        else:
            late = self._front()
        for start, end in late:
            self._older.discard(start, end)
            self._backfilled.discard(start, end)
        self._again.update(late)
        self._cursor = 0

    def _front(self) -> Ranges:
        """The lowest batch of what is late: enough to find out whether anybody stores."""
        front, left = Ranges(), self._manners.batch_records
        for start, end in self._older:
            taken = min(end, start + left)
            front.add(start, taken)
            left -= taken - start
            if not left:
                break
        return front

    def _forget(self, below: int) -> None:
        for numbers in (self._recent, self._older, self._backfilled, self._again):
            numbers.discard(0, below)

    def _be_eager(self, now: float) -> None:
        self._failures = 0
        self.live_since_progress = 0
        self._timeout = self._tell_s = self._manners.mark_s[0]
        self.asked_at = now if self.outstanding else NEVER
        self._arm(now)

    def _arm(self, now: float) -> None:
        self._due = now + self._jittered()
        self._turn = min(self._turn, now + self._manners.mark_s[0])

    def _jittered(self) -> float:
        return self._timeout * (1 + self._dice.random() / 4)
