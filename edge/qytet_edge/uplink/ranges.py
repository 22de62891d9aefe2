"""A set of sequence numbers, as small as its gaps are few: what has gone out and is not marked yet."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

__all__ = ["Ranges"]


class Ranges:
    """Whole numbers as sorted, disjoint ranges [start, end) that do not touch; `len` counts the numbers."""

    __slots__ = ("_ends", "_size", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The ranges [start, end) in order."""
        return iter(zip(self._starts, self._ends, strict=True))

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number < self._ends[at]

    @property
    def pieces(self) -> int:
        """How many ranges there are: what the set costs."""
        return len(self._starts)

    def add(self, start: int, end: int) -> None:
        """Put start … end-1 in."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._replace(first, last, [(start, end)])

    def discard(self, start: int, end: int) -> None:
        """Take start … end-1 out, as far as they are there."""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if start >= end or first >= last:
            return
        around = ((self._starts[first], start), (end, self._ends[last - 1]))
        self._replace(first, last, [(low, high) for low, high in around if low < high])

    def update(self, other: "Ranges") -> None:
        """Put all of another set in."""
        for start, end in other:
            self.add(start, end)

    def clear(self) -> None:
        """Empty it."""
        self._starts.clear()
        self._ends.clear()
        self._size = 0

    def drop_last(self) -> None:
        """Forget the highest range: what holds the cost of a strange pattern within bounds."""
        if self._starts:
            self._size -= self._ends.pop() - self._starts.pop()

    def next_outside(self, number: int) -> int:
        """The lowest number from `number` on that is not in the set."""
        at = bisect_right(self._starts, number) - 1
        return self._ends[at] if at >= 0 and number < self._ends[at] else number

    def _replace(self, first: int, last: int, pieces: list[tuple[int, int]]) -> None:
        gone = sum(self._ends[first:last]) - sum(self._starts[first:last])
        self._starts[first:last] = [low for low, _ in pieces]
        self._ends[first:last] = [high for _, high in pieces]
        self._size += sum(high - low for low, high in pieces) - gone
