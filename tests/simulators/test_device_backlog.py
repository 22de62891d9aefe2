"""The backlog's promise under any order of marks, losses and reconnections, and its bounds."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from qytet_simulators.device.backlog import MAX_BATCH, MAX_BATCH_BYTES, Backlog, Patience
from qytet_simulators.device.record import Record

BOOT = "00000001"
PATIENCE = Patience(5.0, 60.0)


def record(seq: int, size: int = 1) -> Record:
    return Record(seq, 1_767_225_600_000 + seq, seq, "ntp", {f"pm2_5:c{n}": seq for n in range(size)})


def filled(count: int, *, capacity: int = 1000, now: float | None = 0.0) -> Backlog:
    """A backlog with `count` records of one boot, sent at `now` (None: not sent)."""
    backlog = Backlog(capacity, patience=PATIENCE)
    for seq in range(1, count + 1):
        backlog.accept(BOOT, record(seq))
        if now is not None:
            backlog.sent(BOOT, (seq,), now)
    return backlog


def test_mark_covers_everything_up_to_it() -> None:
    """A mark takes off what it covers and nothing above it; a lower one later changes nothing."""
    backlog = filled(10)
    covered = backlog.mark(BOOT, 7, 1.0)
    assert covered is not None
    assert covered.number == 7
    assert covered.sent_at == [0.0] * 7
    backlog.mark(BOOT, 3, 2.0)
    assert backlog.seqs(BOOT) == (8, 9, 10)
    assert backlog.lo(BOOT) == 8


def test_nothing_is_resent_before_its_time() -> None:
    """What was sent is left alone until the timeout, then goes out again, from the oldest on."""
    backlog = filled(3)
    assert backlog.take(4.9) is None
    assert backlog.due <= 5.0 * 1.25
    batch = backlog.take(6.5)
    assert batch is not None
    assert batch.seqs == (1, 2, 3)
    assert backlog.resent == 3
    assert backlog.take(6.6) is None


def test_timeout_doubles_without_progress_and_falls_back_with_it() -> None:
    """A silent server is asked ever less often, at least once a minute; a mark restores the first patience."""
    backlog, now, gaps = filled(1), 0.0, []
    last = 0.0
    while len(gaps) < 6:
        now += 0.1
        if backlog.take(now):
            gaps.append(now - last)
            last = now
    for gap, expected in zip(gaps, (5, 10, 20, 40, 60, 60), strict=True):
        assert expected <= gap <= expected * 1.25 + 0.2
    backlog.accept(BOOT, record(2))
    backlog.sent(BOOT, (2,), now)
    backlog.mark(BOOT, 1, now)
    assert backlog.due - now <= 5 * 1.25


def test_reconnection_restores_the_first_patience() -> None:
    """After a reconnection a record waits five seconds at most again, as the broker may have lost it."""
    backlog = filled(1)
    for now in (7.0, 20.0, 50.0, 100.0):
        backlog.take(now)
    backlog.reconnected(100.0)
    assert backlog.due <= 100.0 + 5 * 1.25


def test_batches_are_bounded_in_records_and_bytes() -> None:
    """A backfill holds at most 100 records and about 30 kB."""
    backlog = filled(250, now=None)
    for seq in range(1, 251):
        backlog.postpone(BOOT, seq)
    sizes = []
    while batch := backlog.take(0.0):
        sizes.append(len(batch.seqs))
    assert sizes == [MAX_BATCH, MAX_BATCH, 50]
    wide = Backlog(1000)
    for seq in range(1, 101):
        wide.accept(BOOT, record(seq, size=60))
        wide.postpone(BOOT, seq)
    batch = wide.take(0.0)
    assert batch is not None
    assert len(batch.seqs) < 100
    assert sum(map(len, batch.rows)) < MAX_BATCH_BYTES + 1000


def test_full_backlog_drops_the_oldest_and_says_so() -> None:
    """Beyond its capacity the oldest is dropped, counted, returned, and reported by `lo` until it is marked."""
    backlog = Backlog(3, patience=PATIENCE)
    dropped = [gone for seq in range(1, 6) for gone in backlog.accept(BOOT, record(seq))]
    assert dropped == [(BOOT, 1), (BOOT, 2)]
    assert backlog.dropped == 2
    assert len(backlog) == 3
    batch = backlog.take(0.0)
    assert batch is not None
    assert batch.lo == 3
    assert not backlog.settled
    backlog.mark(BOOT, 5, 1.0)
    assert backlog.settled


def test_loss_of_everything_is_still_reported() -> None:
    """When all of an old boot was dropped, the server is told by an empty backfill until it has heard."""
    backlog = Backlog(1, patience=PATIENCE)
    backlog.accept(BOOT, record(1))
    backlog.accept("00000002", record(1))
    batch = backlog.take(1.0)
    assert batch is not None
    assert (batch.boot, batch.lo, batch.seqs) == (BOOT, 2, ())
    backlog.mark("00000002", 1, 2.0)
    assert not backlog.settled
    backlog.mark(BOOT, 1, 3.0)
    assert backlog.settled
    assert BOOT not in backlog.boots


def test_old_boots_are_marked_and_resent_by_themselves() -> None:
    """A mark counts for its own boot only; an older boot goes out first."""
    backlog = filled(3)
    backlog.accept("00000002", record(1))
    backlog.sent("00000002", (1,), 0.0)
    backlog.mark("00000002", 1, 1.0)
    assert backlog.seqs(BOOT) == (1, 2, 3)
    batch = backlog.take(7.0)
    assert batch is not None
    assert (batch.boot, batch.seqs) == (BOOT, (1, 2, 3))
    assert backlog.mark("0000beef", 9, 8.0) is None


def test_numbers_must_follow_each_other() -> None:
    """A gap or a repetition in the sequence is a mistake of ours and refused."""
    backlog = filled(2)
    with pytest.raises(ValueError, match="follows"):
        backlog.accept(BOOT, record(4))
    with pytest.raises(ValueError, match="follows"):
        backlog.accept(BOOT, record(2))


def test_queue_stays_bounded_while_offline() -> None:
    """A device that stays offline for ever keeps no more than its capacity, in any of its queues."""
    backlog = Backlog(50)
    for seq in range(1, 2001):
        backlog.accept(BOOT, record(seq))
        backlog.postpone(BOOT, seq)
    shelf = backlog._shelves[BOOT]
    assert len(shelf.held) == len(shelf.waiting) == 50


def test_faithless_device_forgets_on_puback() -> None:
    """A device that trusts the PUBACK resends nothing afterwards: that is what the promise would break on."""
    backlog = Backlog(100, faithful=False)
    backlog.accept(BOOT, record(1))
    backlog.sent(BOOT, (1,), 0.0)
    assert backlog.trust(BOOT, (1,)) == 1
    assert backlog.take(1000.0) is None
    assert backlog.settled


class Promise(RuleBasedStateMachine):
    """A device and a server that loses messages as it likes, and marks at any time, in any order."""

    boots = Bundle("boots")

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog(20, patience=PATIENCE, seed=1)
        self.now = 0.0
        self.boot = ""
        self.accepted: dict[str, int] = {}
        self.dropped: set[tuple[str, int]] = set()
        self.arrived: dict[str, set[int]] = {}
        self.lost_below: dict[str, int] = {}
        self.known: dict[str, int] = {}

    @rule(target=boots)
    def start(self) -> str:
        self.boot = f"{len(self.accepted) + 1:08x}"
        self.accepted[self.boot] = 0
        self.arrived[self.boot] = set()
        return self.boot

    @precondition(lambda self: self.boot)
    @rule(way=st.sampled_from(("arrives", "lost", "postponed", "held")))
    def measure(self, way: str) -> None:
        self.accepted[self.boot] += 1
        seq = self.accepted[self.boot]
        self.dropped.update(self.backlog.accept(self.boot, record(seq)))
        if way in ("arrives", "lost"):
            self.backlog.sent(self.boot, (seq,), self.now)
        if way == "arrives":
            self.arrived[self.boot].add(seq)
        if way == "postponed":
            self.backlog.postpone(self.boot, seq)

    @rule(seconds=st.floats(0, 100), arrives=st.booleans())
    def resend(self, seconds: float, arrives: bool) -> None:
        self.now += seconds
        if (batch := self.backlog.take(self.now)) and arrives:
            self.deliver(batch.boot, batch.lo, batch.seqs)

    @rule(boot=boots)
    def mark(self, boot: str) -> None:
        self.backlog.mark(boot, self.contiguous(boot), self.now)
        self.known[boot] = max(self.contiguous(boot), self.known.get(boot, 0))

    @rule(boot=boots)
    def mark_of_long_ago(self, boot: str) -> None:
        self.backlog.mark(boot, self.known.get(boot, 0) // 2, self.now)

    @rule()
    def reconnect(self) -> None:
        self.backlog.reconnected(self.now)

    def deliver(self, boot: str, lo: int, seqs: tuple[int, ...]) -> None:
        self.arrived[boot].update(seqs)
        self.lost_below[boot] = max(lo, self.lost_below.get(boot, 1))

    def contiguous(self, boot: str) -> int:
        seq = 0
        while seq + 1 in self.arrived[boot] or seq + 1 < self.lost_below.get(boot, 1):
            seq += 1
        return min(seq, self.accepted[boot])

    @invariant()
    def every_record_is_accounted_for(self) -> None:
        for boot, last in self.accepted.items():
            held = set(self.backlog.seqs(boot))
            for seq in range(1, last + 1):
                known = seq in self.arrived[boot] or seq in held or (boot, seq) in self.dropped
                assert known, f"record {seq} of boot {boot} is nowhere"
                assert seq <= self.known.get(boot, 0) or seq in held or (boot, seq) in self.dropped

    @invariant()
    def nothing_grows_beyond_its_bound(self) -> None:
        assert len(self.backlog) <= self.backlog.capacity

    def teardown(self) -> None:
        """In the end a server that hears everything brings every boot to rest."""
        for boot in self.accepted:
            for seq in self.backlog.seqs(boot):
                self.backlog.postpone(boot, seq)
        for _ in range(200):
            if self.backlog.settled:
                break
            self.now += 100
            while batch := self.backlog.take(self.now):
                self.deliver(batch.boot, batch.lo, batch.seqs)
                self.backlog.mark(batch.boot, self.contiguous(batch.boot), self.now)
            for boot in self.accepted:
                self.backlog.mark(boot, self.contiguous(boot), self.now)
        assert self.backlog.settled
        missing = {
            (boot, seq)
            for boot, last in self.accepted.items()
            for seq in range(1, last + 1)
            if seq not in self.arrived[boot]
        }
        assert missing <= self.dropped


Promise.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestPromise = Promise.TestCase
