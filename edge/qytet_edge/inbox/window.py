"""The mean of what an instrument said since the last report."""

from collections.abc import Mapping

__all__ = ["Window"]

_DECIMALS = 4


class Window:
    """Sums and counts, so that its memory is the same after a second and after a day without a disk."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self.n = 0
        """Samples added since the last `take`."""

    def add(self, values: Mapping[str, float | None]) -> None:
        """Count one sample; None is "measured, no value" and does not weigh."""
        self.n += 1
        for key, value in values.items():
            self._sums.setdefault(key, 0.0)
            self._counts.setdefault(key, 0)
            if value is not None:
                self._sums[key] += value
                self._counts[key] += 1

    def take(self) -> dict[str, float | None]:
        """The mean of each key (None if it never had a value), and begin anew; empty if nothing was added."""
        counts = self._counts
        means = {
            key: round(total / counts[key], _DECIMALS) if counts[key] else None
            for key, total in self._sums.items()
        }
        self.clear()
        return means

    def clear(self) -> None:
        """Forget what was added."""
        self._sums, self._counts, self.n = {}, {}, 0
