"""How frames of a fixed length are cut out of a stream of bytes, and what a serial sensor is: a row of facts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Frames", "Sensor"]


class Frames:
    """Finds frames in whatever a line brings, however it is cut up; keeps at most one unfinished frame.

    A frame begins with one of `heads`, has `size` bytes and satisfies `good`. After a bad one the search goes on
    one byte further, so that a frame cut short costs itself only, never the one behind it.
    """

    def __init__(self, heads: Sequence[bytes], size: int, good: Callable[[bytes], bool]) -> None:
        self._heads = heads
        self._size = size
        self._good = good
        self._held = bytearray()
        self.bad = 0
        """Heads whose frame was not good: a wrong checksum, a frame cut short."""
        self.skipped = 0
        """Bytes that belonged to no good frame."""

    def feed(self, data: bytes) -> list[bytes]:
        """The good frames that `data` completes, oldest first."""
        held = self._held
        held += data
        found: list[bytes] = []
        while self._seek() and len(held) >= self._size:
            frame = bytes(held[: self._size])
            if self._good(frame):
                found.append(frame)
                del held[: self._size]
            else:
                self.bad += 1
                self.skipped += 1
                del held[:1]
        return found

    def clear(self) -> None:
        """Forget an unfinished frame: what comes next is not its rest."""
        self._held.clear()

    def _seek(self) -> bool:
        """Drop what cannot begin a frame; true if what is left begins with a whole head."""
        held = self._held
        starts = [at for head in self._heads if (at := held.find(head)) >= 0]
        if starts:
            self._drop(min(starts))
            return True
        longest = max(len(head) for head in self._heads) - 1
        keep = next((n for n in range(longest, 0, -1) if self._may_begin(bytes(held[-n:]), n)), 0)
        self._drop(len(held) - keep)
        return False

    def _may_begin(self, tail: bytes, length: int) -> bool:
        return len(tail) == length and any(head.startswith(tail) for head in self._heads)

    def _drop(self, count: int) -> None:
        self.skipped += count
        del self._held[:count]


@dataclass(frozen=True)
class Sensor:
    """What there is to know of one type of sensor on a serial line, 8N1."""

    name: str
    baud: int
    keys: tuple[str, ...]
    """Catalogue properties that it gives, in the catalogue's units."""
    frames: Callable[[], Frames]
    values: Callable[[bytes], dict[str, float | None] | None]
    """What a good frame says; None for a frame that is no measurement (the answer to a command)."""
    warm_up_s: float
    """What it says sooner after its start is not yet a measurement."""
    setup: tuple[bytes, ...] = ()
    """Sent at each start."""
    ask: bytes = b""
    """Sent whenever a measurement is wanted; empty if the sensor speaks by itself."""
    wake: bytes = b""
    sleep: bytes = b""
