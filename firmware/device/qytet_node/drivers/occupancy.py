"""Whether a vehicle stands over a magnetometer: a baseline that follows the empty place, two thresholds, and time."""

import json
import os

FREE, OCCUPIED = 0, 1


class Kept:
    """A baseline in a file, written anew by temp-and-rename; one that is broken is none."""

    def __init__(self, path):
        self._path = path

    def load(self):
        """The triple, or None."""
        try:
            with open(self._path) as file:
                found = json.load(file)
        except (OSError, ValueError):
            return None
        whole = isinstance(found, list) and len(found) == 3 and all(isinstance(value, int) for value in found)
        return found if whole else None

    def save(self, field):
        """Keep it. Raises OSError."""
        with open(self._path + ".new", "w") as file:
            json.dump(field, file)
        os.rename(self._path + ".new", self._path)


class Occupancy:
    """Fields are triples in nT. A change counts when it has lasted `debounce_ms`.

    While the place is free and the field within `off_nt`, the baseline follows it by 1/256 a sample: slow enough for
    temperature (0.1 uT/K), too slow to swallow a vehicle. Under a vehicle it stands still.
    """

    def __init__(self, baseline=None, on_nt=10000, off_nt=5000, debounce_ms=7000):
        self._on, self._off, self._debounce = on_nt * on_nt, off_nt * off_nt, debounce_ms
        self._sum = None if baseline is None else [value << 8 for value in baseline]
        self.state = FREE
        self._changing_ms = 0

    @property
    def baseline(self):
        """The field of the empty place; None before the first sample."""
        return None if self._sum is None else [value >> 8 for value in self._sum]

    def take(self, field, elapsed_ms):
        """The state after a sample, `elapsed_ms` after the one before."""
        if self._sum is None:
            self._sum = [value << 8 for value in field]
        away = sum((value - (base >> 8)) ** 2 for value, base in zip(field, self._sum))
        if self.state == FREE and away < self._off:
            self._sum = [base + value - (base >> 8) for value, base in zip(field, self._sum)]
        if away > self._on if self.state == FREE else away < self._off:
            self._changing_ms += elapsed_ms
            if self._changing_ms >= self._debounce:
                self.state, self._changing_ms = 1 - self.state, 0
        else:
            self._changing_ms = 0
        return self.state
