"""What ingest needs of a broker: chunks of messages in, acknowledgements and `stored` marks out."""

import time
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Chunk", "Source"]


@dataclass(slots=True)
class Chunk:
    """Messages received together. `tokens[i]` acknowledges message i; None if the sender wanted no answer.

    `epoch` counts connections: tokens of an older one mean nothing to the broker any more.
    `arrived` is when, by the monotonic clock in seconds.
    """

    epoch: int
    topics: list[bytes]
    payloads: list[bytes]
    tokens: list[int | None]
    size: int
    arrived: float = field(default_factory=time.monotonic)


class Source(Protocol):
    """A broker's side of ingest. One thread consumes; the source has its own for the connection."""

    def start(self) -> None:
        """Connect and receive, reconnecting for ever; returns at once."""

    def receive(self, timeout: float) -> Chunk | None:
        """The next chunk, or None after `timeout` seconds."""

    def acknowledge(self, epoch: int, tokens: list[int]) -> None:
        """Tell the broker that these messages are committed; a stale epoch is ignored."""

    def release(self, size: int) -> None:
        """Give back room for `size` bytes: as long as there is none, nothing more is read."""

    def publish(self, messages: list[tuple[bytes, bytes]]) -> bool:
        """Send (topic, payload) at QoS 0; False if there is no connection, then nothing was sent."""

    def pause(self) -> None:
        """Read nothing more; what was received can still be acknowledged."""

    def stop(self) -> None:
        """Send what is outstanding, disconnect in order and end the thread."""

    @property
    def connected(self) -> bool:
        """Whether the broker has granted the subscription."""
