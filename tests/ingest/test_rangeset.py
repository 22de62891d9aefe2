"""Ranges of numbers behave as the set of those numbers does."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from qytet_ingest.rangeset import RangeSet, multirange, ranges

NUMBERS = st.integers(1, 40)
SETS = st.sets(NUMBERS)


def of(numbers):
    return RangeSet((n, n + 1) for n in numbers)


class Model(RuleBasedStateMachine):
    """A RangeSet beside a set of Python's own."""

    @initialize(start=SETS)
    def begin(self, start):
        self.set, self.model = of(start), set(start)

    @rule(number=NUMBERS)
    def add(self, number):
        assert self.set.add(number) == (number not in self.model)
        self.model.add(number)

    @rule(start=NUMBERS, size=st.integers(-2, 20))
    def add_range(self, start, size):
        self.set.add_range(start, start + size)
        self.model.update(range(start, start + size))

    @rule(number=NUMBERS)
    def discard(self, number):
        self.set.discard(number)
        self.model.discard(number)

    @rule(start=NUMBERS, size=st.integers(-2, 20))
    def discard_range(self, start, size):
        self.set.discard_range(start, start + size)
        self.model.difference_update(range(start, start + size))

    @rule(start=NUMBERS, size=st.integers(0, 30))
    def gaps(self, start, size):
        found = [n for low, high in self.set.gaps(start, start + size) for n in range(low, high)]
        assert found == sorted(set(range(start, start + size)) - self.model)

    @rule(first=NUMBERS)
    def contiguous(self, first):
        top = first - 1
        while top + 1 in self.model:
            top += 1
        assert self.set.contiguous_from(first) == top

    @invariant()
    def same(self):
        pairs = list(self.set)
        assert {n for low, high in pairs for n in range(low, high)} == self.model
        assert len(self.set) == len(self.model)
        assert bool(self.set) == bool(self.model)
        assert self.set.end == max(self.model, default=0) + 1
        assert all(low < high for low, high in pairs)
        assert all(one[1] < two[0] for one, two in itertools.pairwise(pairs)), "ranges touch"
        assert [n in self.set for n in range(70)] == [n in self.model for n in range(70)]


TestModel = Model.TestCase


@given(SETS, SETS, SETS)
def test_union_is_the_union(one, two, three):
    """A union holds the numbers of all and leaves its parts alone."""
    first = of(one)
    assert first.union(of(two), of(three)) == of(one | two | three)
    assert first == of(one)


@given(st.lists(NUMBERS))
def test_multirange_says_the_numbers(numbers):
    """In any order and with repetitions, PostgreSQL is told the same numbers."""
    assert multirange(numbers) == ranges(of(numbers))
