"""A set of sequence numbers kept as disjoint half-open ranges, as small as its gaps are few."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Self

__all__ = ["RangeSet", "multirange", "ranges"]


class RangeSet:
    """Whole numbers as sorted ranges [start, end). Public lists, as the hot path extends the last one in place."""

    __slots__ = ("ends", "starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        for start, end in ranges:
            self.add_range(start, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The ranges in order."""
        return iter(zip(self.starts, self.ends, strict=True))

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.starts, number) - 1
        return at >= 0 and number < self.ends[at]

    def __bool__(self) -> bool:
        return bool(self.starts)

    def __len__(self) -> int:
        """How many numbers it holds."""
        return sum(self.ends) - sum(self.starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and self.starts == other.starts and self.ends == other.ends

    __hash__ = None  # type: ignore[assignment]  # it changes

    def add(self, number: int) -> bool:
        """Put one number in; False if it was there."""
        if number in self:
            return False
        self.add_range(number, number + 1)
        return True

    def add_range(self, start: int, end: int) -> None:
        """Put start … end-1 in, joining what touches."""
        if start >= end:
            return
        first = bisect_right(self.ends, start - 1)
        last = bisect_right(self.starts, end)
        if first < last:
            start = min(start, self.starts[first])
            end = max(end, self.ends[last - 1])
        self.starts[first:last] = [start]
        self.ends[first:last] = [end]

    def discard(self, number: int) -> None:
        """Take one number out, if it is there."""
        self.discard_range(number, number + 1)

    def discard_range(self, start: int, end: int) -> None:
        """Take start … end-1 out, as far as they are there."""
        first = bisect_right(self.ends, start)
        last = bisect_left(self.starts, end)
        if start >= end or first >= last:
            return
        around = ((self.starts[first], start), (end, self.ends[last - 1]))
        pieces = [(low, high) for low, high in around if low < high]
        self.starts[first:last] = [low for low, _ in pieces]
        self.ends[first:last] = [high for _, high in pieces]

    def union(self, *others: Self) -> "RangeSet":
        """A new set with the numbers of all."""
        joined = RangeSet(self)
        for other in others:
            for start, end in other:
                joined.add_range(start, end)
        return joined

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """The ranges within [start, end) that it does not hold."""
        found = []
        for low, high in self:
            if high <= start:
                continue
            if low >= end:
                break
            if low > start:
                found.append((start, low))
            start = high
        if start < end:
            found.append((start, end))
        return found

    def contiguous_from(self, first: int) -> int:
        """The highest number up to which nothing is missing, counting from `first`; first - 1 if that is absent."""
        at = bisect_right(self.starts, first) - 1
        return self.ends[at] - 1 if at >= 0 and first < self.ends[at] else first - 1

    @property
    def end(self) -> int:
        """One beyond the highest number; 1 if empty, as sequences begin there."""
        return self.ends[-1] if self.ends else 1


def multirange(numbers: list[int]) -> str:
    """PostgreSQL's text of an int8multirange that holds these numbers; consecutive runs become one range."""
    if not numbers:
        return "{}"
    first, count = numbers[0], len(numbers)
    if numbers[-1] - first + 1 == count and all(map(int.__lt__, numbers, numbers[1:])):
        return f"{{[{first},{first + count})}}"
    return ranges(RangeSet((n, n + 1) for n in sorted(numbers)))


def ranges(pairs: Iterable[tuple[int, int]]) -> str:
    """PostgreSQL's text of an int8multirange of these ranges [start, end)."""
    return "{" + ",".join([f"[{start},{end})" for start, end in pairs]) + "}"
