"""What is on its way: sent once, again when late, ever more rarely while nobody stores, never forgotten."""

import math
import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from qytet_edge.uplink.manners import Manners
from qytet_edge.uplink.pace import FIRST_BYTES, LEAST_BYTES, Pace
from qytet_edge.uplink.ranges import Ranges
from qytet_edge.uplink.window import MAX_PIECES, Window

MANNERS = Manners(mark_s=(5.0, 300.0), batch_records=100)


def _window(held: int = 0, *, manners: Manners = MANNERS) -> Window:
    window = Window("meter", "9f3a01c2", manners, random.Random(1))
    window.look(lowest=1, highest=held, held=held, mark=0, lo=1)
    return window


def _send(window: Window, seqs: range, now: float, *, live: bool = False) -> None:
    for seq in seqs:
        window.sent(seq, now, live=live)


def _late_at(window: Window, now: float) -> float:
    """Let time pass by half seconds until something becomes unsent again; that moment."""
    before = window.unsent
    for _ in range(2000):
        now += 0.5
        window.tick(now)
        if window.unsent > before:
            return now
    raise AssertionError("nothing became late")


_numbers = st.integers(1, 60)
_steps = st.lists(st.tuples(st.booleans(), _numbers, _numbers), max_size=40)


@given(_steps)
def test_ranges_are_a_set(steps: list[tuple[bool, int, int]]) -> None:
    """Whatever is put in and taken out, the ranges hold the same numbers as a set, in as few pieces as can be."""
    ranges, truth = Ranges(), set[int]()
    for put, one, other in steps:
        start, end = min(one, other), max(one, other)
        (ranges.add if put else ranges.discard)(start, end)
        (truth.update if put else truth.difference_update)(range(start, end))
    assert [n for start, end in ranges for n in range(start, end)] == sorted(truth)
    assert len(ranges) == len(truth)
    assert ranges.pieces == sum(n - 1 not in truth for n in truth)
    for number in range(62):
        assert (number in ranges) == (number in truth)
        assert ranges.next_outside(number) == next(n for n in range(number, 99) if n not in truth)


def test_a_mark_ends_the_wait() -> None:
    """What the mark covers is neither outstanding nor sent again; what lies above it still waits."""
    window = _window(100)
    _send(window, range(1, 101), 0.0)
    assert window.unsent == 0
    assert window.outstanding == 100
    assert window.marked(60, 1.0)
    assert not window.marked(60, 1.0)
    assert window.outstanding == 40
    assert window.next_unsent() == 0


def test_it_knows_how_long_the_city_has_confirmed_nothing() -> None:
    """The wait begins with the first send, goes on through resends, and ends with a mark for all; what lies above a
    mark, and a new connection, begin it anew."""
    window = _window(held=3)
    assert window.asked_at == math.inf
    _send(window, range(1, 4), 10.0)
    late = _late_at(window, 10.0)
    _send(window, range(1, 4), late)
    assert window.asked_at == 10.0
    window.marked(2, late + 1)
    assert window.asked_at == late + 1
    window.reconnected(late + 2)
    assert window.asked_at == late + 2
    window.marked(3, late + 3)
    assert window.asked_at == math.inf


def test_without_a_mark_everything_late_goes_again_then_a_probe() -> None:
    """A broker that lost all gets all again after 5 to 13 s; without any progress only one batch, ever more rarely."""
    window = _window(1000)
    _send(window, range(1, 1001), 0.0)
    moment = _late_at(window, 0.0)
    assert 5 <= moment <= 13
    assert window.unsent == 1000
    assert window.next_unsent() == 1
    _send(window, range(1, 1001), moment)
    pauses = []
    for _ in range(4):
        before, moment = moment, _late_at(window, moment)
        assert window.unsent == MANNERS.batch_records, "a probe, not everything"
        _send(window, range(1, 101), moment)
        pauses.append(moment - before)
    assert all(after >= before * 1.5 for before, after in pairwise(pauses)), pauses


def test_progress_makes_it_eager_again() -> None:
    """When marks move after a long silence, the rest that is late follows within seconds, not minutes."""
    window = _window(1000)
    _send(window, range(1, 1001), 0.0)
    moment = 0.0
    for seqs in (range(1, 1001), range(1, 101), range(1, 101)):
        moment = _late_at(window, moment)
        _send(window, seqs, moment)
    window.marked(100, moment + 100)
    assert _late_at(window, moment + 100) < moment + 114
    assert window.unsent == 900


def test_live_above_a_gap_is_not_sent_again_by_backfill() -> None:
    """Live records with a backlog below them count as sent while the marks climb through the backlog."""
    window = _window(1000)
    _send(window, range(990, 1001), 0.0, live=True)
    assert window.next_unsent() == 1
    now = 0.0
    for first in range(1, 990, 43):
        _send(window, range(first, first + 43), now)
        now += 1.0
        window.tick(now)
        window.marked(first + 42, now)
    assert window.mark >= 989
    assert window.unsent == 0


def test_what_never_left_goes_at_once() -> None:
    """What was in flight when a connection ended is unsent; what had its PUBACK waits for its mark."""
    window = _window(10)
    _send(window, range(1, 11), 0.0)
    window.unsend([4, 5, 6])
    assert window.unsent == 3
    assert window.next_unsent() == 4
    assert window.sent(4, 1.0, live=False), "it counts as sent again"


def test_a_pass_skips_numbers_that_are_not_held() -> None:
    """A node's numbers may have holes that never come: a pass over them ends, and does not read them for ever."""
    window = _window()
    window.look(lowest=5, highest=20, held=4, mark=0, lo=5)  # say 5, 6, 19, 20
    assert window.next_unsent() == 5
    _send(window, range(5, 7), 0.0)
    window.read_to(6)
    assert window.next_unsent() == 7
    _send(window, range(19, 21), 0.0)
    window.read_to(20)
    assert window.next_unsent() == 0


def test_losses_are_told_until_a_mark_shows_that_they_are_known() -> None:
    """The word about losses goes out once at once, again when no mark comes, and no more after the mark."""
    window = _window()
    window.look(lowest=0, highest=0, held=0, mark=3, lo=11)
    assert window.must_tell(0.0)
    window.told(0.0)
    assert not window.must_tell(1.0)
    assert window.must_tell(10.0)
    window.told(10.0)
    assert not window.must_tell(15.1), "ever more rarely"
    assert window.marked(10, 11.0)
    assert not window.must_tell(100.0)
    assert window.idle


def test_nobody_storing_holds_live_records_back() -> None:
    """While no mark moves, only so many live records go to the broker; one mark opens the way again."""
    window = _window(50, manners=Manners(live_window=20))
    _send(window, range(1, 21), 0.0, live=True)
    assert not window.may_go_live
    window.marked(1, 1.0)
    assert window.may_go_live


def test_backfill_without_marks_is_bounded() -> None:
    """Backfilled records without a mark never exceed their window."""
    window = _window(100, manners=Manners(backfill_window=30))
    _send(window, range(1, 31), 0.0)
    assert window.room == 0
    window.marked(10, 1.0)
    assert window.room == 10


def test_a_strange_pattern_costs_no_more_than_so_much() -> None:
    """Every other number missing, for ever: the memory of a window stays bounded."""
    window = _window()
    for seq in range(1, 20_000, 2):
        window.sent(seq, 0.0, live=True)
    assert window.outstanding <= MAX_PIECES + 1


def test_pace_follows_the_link() -> None:
    """Records per second are kept to; slow PUBACKs shrink what may be in flight, quick ones widen it."""
    pace = Pace(rate=1000, batch_records=100)
    pace.fill(0.0)
    assert pace.wait() == 0
    pace.spend(100)
    pace.fill(0.05)
    assert abs(pace.wait() - 0.05) < 1e-9
    assert Pace(rate=2, batch_records=100).batch == 1
    for _ in range(10):
        pace.acked(2.0, 30_000)
    assert pace.allowance == LEAST_BYTES
    for _ in range(10):
        pace.acked(0.1, 30_000)
    assert pace.allowance > FIRST_BYTES
