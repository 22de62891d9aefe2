"""When readings that came at once were made: rows of one datastream get a millisecond each, in their order.

A file without times gives several rows at a look; of two at one instant the city would keep only the first.
"""

from collections.abc import Sequence

from qytet_edge.records import Reading

__all__ = ["Moments"]


LONG_MS = 60_000
"""More rows than this never come at once, so that an earlier moment is of no interest."""


class Moments:
    """Remembers, for a minute, the last uptime that a device was given."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def of(self, readings: Sequence[Reading], up_ms: int) -> list[int]:
        """The uptime (ms) of each reading, of which those without a time of their own are made now, at `up_ms`.

        Several rows end now and were made before it, as far as no earlier one is as late; else they go beyond it.
        """
        self._last = {device: last for device, last in self._last.items() if last > up_ms - LONG_MS}
        rows = _rows(readings)
        last_row = {reading.device: row for reading, row in zip(readings, rows, strict=True)}
        first = {device: self._first(device, row, up_ms) for device, row in last_row.items()}
        self._last |= {device: first[device] + row for device, row in last_row.items()}
        return [first[reading.device] + row for reading, row in zip(readings, rows, strict=True)]

    def _first(self, device: str, last_row: int, up_ms: int) -> int:
        before = self._last.get(device, 0)
        if not last_row and before <= up_ms:  # two instruments that say the same are none of our business
            return up_ms
        return max(up_ms - last_row, before + 1)


def _rows(readings: Sequence[Reading]) -> list[int]:
    """The row of its device that each reading belongs to, from 0; a key that comes again begins another one."""
    row, keys, found = dict[str, int](), dict[str, set[str]](), list[int]()
    for reading in readings:
        seen = keys.setdefault(reading.device, set())
        if reading.t_ms is None:
            if not seen.isdisjoint(reading.values):
                row[reading.device] = row.get(reading.device, 0) + 1
                seen.clear()
            seen.update(reading.values)
        found.append(row.get(reading.device, 0))
    return found
