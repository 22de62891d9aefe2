"""How fast backfill may go: so many records a second, and no more bytes in flight than the link swallows quickly.

Live records queue behind the bytes of backfill that are already in the socket. So the bytes in flight follow the
PUBACKs: quick ones allow more, a slow one halves it, down to one small batch on a modem.
"""

__all__ = ["LEAST_BYTES", "Pace"]

LEAST_BYTES = 2_000
FIRST_BYTES = 16_000
MOST_BYTES = 1_000_000
QUICK_S, SLOW_S = 0.3, 1.0


class Pace:
    """A bucket of records and an allowance of bytes; `now` in monotonic seconds."""

    def __init__(self, rate: float, batch_records: int) -> None:
        self.allowance = FIRST_BYTES
        self.batch = max(1, min(batch_records, int(rate / 4)))
        """Records of one message, at most: a slow rate is kept by small messages, not by rare ones."""
        self._rate = rate
        self._most = max(self.batch, rate / 4)
        self._tokens = float(self.batch)
        self._at: float | None = None

    def fill(self, now: float) -> None:
        """Let time fill the bucket."""
        if self._at is not None:
            self._tokens = min(self._tokens + (now - self._at) * self._rate, self._most)
        self._at = now

    def wait(self) -> float:
        """Seconds until a whole batch may go out; 0 for now."""
        return max(0.0, (self.batch - self._tokens) / self._rate)

    def spend(self, records: int) -> None:
        """So many went out; may be owed for a moment."""
        self._tokens -= records

    def acked(self, seconds: float, size: int) -> None:
        """A message of backfill of so many bytes was acknowledged so long after it was handed over."""
        if seconds < QUICK_S:
            self.allowance = min(self.allowance + size, MOST_BYTES)
        elif seconds > SLOW_S:
            self.allowance = max(self.allowance // 2, LEAST_BYTES)
