"""Counters and latencies of simulated devices; bounded memory however long a run is."""

import math
from dataclasses import dataclass, fields
from typing import Self

__all__ = ["Latency", "Tally"]

_LEAST_MS = 0.05
_STEP = math.log(1.05)  # each bucket is 5 % wide: a percentile is right to 2.5 %
_BUCKETS = 400  # up to about four hours


class Latency:
    """A histogram of durations in buckets of 5 %, from 0.05 ms to hours."""

    def __init__(self) -> None:
        self.count = 0
        self._buckets = [0] * _BUCKETS
        self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        ms = seconds * 1000
        bucket = int(math.log(ms / _LEAST_MS) / _STEP) + 1 if ms > _LEAST_MS else 0
        self._buckets[min(bucket, _BUCKETS - 1)] += 1
        self.count += 1
        self._longest = max(self._longest, ms)

    def percentile(self, share: float) -> float | None:
        """Milliseconds that this share (0 to 1) of all durations does not exceed; None without any."""
        if not self.count:
            return None
        rank, seen = share * self.count, 0
        for bucket, count in enumerate(self._buckets):
            seen += count
            if seen >= rank and count:
                return min(_LEAST_MS * math.exp((bucket - 0.5) * _STEP), self._longest)
        return self._longest

    def summary(self) -> dict[str, float | int | None]:
        """Count, p50, p95, p99 and the longest, in milliseconds."""
        found: dict[str, float | int | None] = {"count": self.count}
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            value = self.percentile(share)
            found[name] = None if value is None else round(value, 2)
        return found | {"max": round(self._longest, 2)}


@dataclass(slots=True)
class Tally:
    """What happened to records, readings and messages; sums are made with `+=`."""

    records: int = 0
    """Records accepted: from here on each is stored once, or reported as missing."""
    readings: int = 0
    """Values in those records."""
    messages: int = 0
    """Messages handed to the broker, of all kinds that carry records."""
    acked: int = 0
    """Messages with a PUBACK."""
    stored: int = 0
    """Records that a `stored` mark covers."""
    trusted: int = 0
    """Records that a faithless device gave up on a PUBACK alone."""
    resent: int = 0
    """Records sent more than once because no mark came in time."""
    backfilled: int = 0
    """Records that went out first in a `hist`."""
    dropped: int = 0
    """Records pushed out of a full backlog; the device reports them by `lo`."""
    garbage: int = 0
    """Messages sent that are no records at all."""
    repeated: int = 0
    """Records sent twice on purpose."""
    reboots: int = 0
    """Reboots that a scenario asked for."""
    refused: int = 0
    """Messages that the broker refused (MQTT 5)."""
    strange: int = 0
    """Marks that fit no record of ours."""

    def __iadd__(self, other: "Tally") -> Self:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
        return self
