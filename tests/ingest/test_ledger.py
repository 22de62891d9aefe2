"""The memory of a boot equals a model of sets, and its mark never runs ahead of what is committed."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qytet_ingest.ledger import Boot
from qytet_ingest.rangeset import RangeSet

SEQS = st.integers(1, 25)


def of(numbers):
    return RangeSet((n, n + 1) for n in numbers)


def numbers(ranges):
    return {n for low, high in ranges for n in range(low, high)}


class Ledger(RuleBasedStateMachine):
    """A boot beside three sets; `committed` is what the database has."""

    @initialize(received=st.sets(SEQS), rejected=st.sets(SEQS), dropped=st.sets(SEQS))
    def load(self, received, rejected, dropped):
        self.boot = Boot(1, "9f3a01c2", of(received), of(rejected), of(dropped))
        self.received, self.rejected, self.dropped = set(received), set(rejected), set(dropped)
        self.duplicates = 0
        self.commit()

    def commit(self):
        self.committed = set(self.received), set(self.rejected), set(self.dropped)

    @rule(seq=SEQS)
    def receive(self, seq):
        new = seq not in self.received
        assert self.boot.receive(seq) == new
        self.duplicates += not new
        self.received.add(seq)

    @rule()
    def receive_next_as_the_hot_path_does(self):
        boot = self.boot
        seq = boot.next
        if boot.received.ends:
            boot.received.ends[-1] = boot.next = seq + 1
            boot.fresh.append(seq)
            self.received.add(seq)

    @rule(seq=SEQS)
    def reject(self, seq):
        self.boot.reject(seq)
        self.rejected.add(seq)

    @precondition(lambda self: self.boot.fresh)
    @rule(data=st.data())
    def refuse_what_the_database_does_not_take(self, data):
        seq = data.draw(st.sampled_from(self.boot.fresh))
        self.boot.unreceive(seq)
        self.received.discard(seq)
        self.rejected.add(seq)

    @rule(lowest=SEQS)
    def drop(self, lowest):
        accounted = self.received | self.rejected | self.dropped
        self.boot.holds_from(lowest)
        self.dropped |= set(range(1, lowest)) - accounted

    @rule()
    def settle(self):
        self.boot.settle()
        self.duplicates = 0
        self.commit()

    @rule()
    def undo(self):
        self.boot.undo()
        self.duplicates = 0
        self.received, self.rejected, self.dropped = map(set, self.committed)

    @invariant()
    def same(self):
        boot = self.boot
        assert numbers(boot.received) == self.received
        assert numbers(boot.rejected) == self.rejected
        assert numbers(boot.dropped) == self.dropped
        assert boot.next == max(self.received, default=0) + 1
        assert boot.duplicates == self.duplicates

    @invariant()
    def fresh_is_what_the_database_lacks(self):
        received, rejected, dropped = self.committed
        assert sorted(self.boot.fresh) == sorted(self.received - received)
        assert set(self.boot.fresh_rejected) == self.rejected - rejected
        assert numbers(self.boot.fresh_dropped) == self.dropped - dropped

    @invariant()
    def the_mark_tells_what_is_committed(self):
        held = set.union(*self.committed)
        top = 0
        while top + 1 in held:
            top += 1
        assert self.boot.mark() <= top
        if not (self.boot.fresh or self.boot.fresh_rejected or self.boot.fresh_dropped):
            assert self.boot.mark() == top


TestLedger = Ledger.TestCase


def test_a_mark_between_two_commits_does_not_promise_the_second():
    """Records in hand, not yet committed, are not told as stored, in whatever way they came."""
    boot = Boot(1, "9f3a01c2")
    boot.receive(1)
    boot.settle()
    boot.receive(2)
    assert boot.mark() == 1
    boot.reject(3)
    boot.settle()
    assert boot.mark() == 3
    boot.holds_from(6)
    assert boot.mark() == 3
    boot.settle()
    assert boot.mark() == 5
