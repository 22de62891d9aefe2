"""A broker in memory: hands out chunks, and writes down in which order things were asked of it."""

from collections import deque

from qytet_ingest.source import Chunk

__all__ = ["MemorySource"]


class MemorySource:
    """See `qytet_ingest.source.Source`. `events` holds acknowledged tokens and published marks in order."""

    connected = True

    def __init__(self) -> None:
        self.chunks: deque[Chunk] = deque()
        self.events: list[tuple[str, object]] = []
        self.held = 0
        self.on_acknowledge = lambda: None
        self._token = 0

    def put(self, *messages: tuple[bytes, bytes]) -> Chunk:
        """A chunk of (topic, payload), as if it had been received."""
        tokens: list[int | None] = []
        for _ in messages:
            self._token += 1
            tokens.append(self._token)
        size = sum(len(topic) + len(payload) for topic, payload in messages)
        chunk = Chunk(0, [t for t, _ in messages], [p for _, p in messages], tokens, size)
        self.held += size
        return chunk

    @property
    def acknowledged(self) -> list[int]:
        """Tokens in the order of their acknowledgement."""
        return [token for kind, tokens in self.events if kind == "ack" for token in tokens]

    @property
    def marks(self) -> list[tuple[bytes, bytes]]:
        """Marks in the order in which they were sent."""
        return [mark for kind, mark in self.events if kind == "mark"]

    def start(self) -> None:
        """Nothing to start."""

    def receive(self, timeout: float) -> Chunk | None:
        """The next chunk."""
        return self.chunks.popleft() if self.chunks else None

    def acknowledge(self, epoch: int, tokens: list[int]) -> None:
        """Write it down, after `on_acknowledge` has looked at the world."""
        self.on_acknowledge()
        self.events.append(("ack", tokens))

    def release(self, size: int) -> None:
        """Room is given back."""
        self.held -= size

    def publish(self, messages: list[tuple[bytes, bytes]]) -> bool:
        """Write it down."""
        self.events += [("mark", message) for message in messages]
        return True

    def pause(self) -> None:
        """Nothing to pause."""

    def stop(self) -> None:
        """Nothing to stop."""
