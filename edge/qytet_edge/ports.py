"""The seams of the gateway: what a source may ask of it, what a source must offer, and what moves in the street.

Everything that runs is an asyncio task. Whoever must call a blocking library does it in a thread of its own
(`asyncio.to_thread` or an executor), so that no source can stall another.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from qytet_edge.records import Checkpoint, Notice, Reading, Relayed

__all__ = ["Marks", "Output", "Sink", "Source"]


class Sink(Protocol):
    """Where sources put what they read. Every `put` returns when it is durable, and waits while the disk cannot."""

    async def put(self, readings: Sequence[Reading], checkpoint: Checkpoint | None = None) -> None:
        """Accept readings of our own instruments, and how far the source has read, in one transaction.

        Raises ContractError before anything is kept if a reading breaks the contract; an empty sequence with
        a checkpoint only keeps the checkpoint.
        """

    async def relay(self, records: Sequence[Relayed]) -> None:
        """Accept a nearby node's records; those that are kept or marked already are counted and change nothing."""

    async def holds(self, device: str, boot: str, lo: int) -> None:
        """Accept that a nearby node holds nothing below `lo` of this boot (an empty `hist`, a birth).

        Passed on by itself it would make the city give up what is still held here: a birth is passed on with
        `lo` 1, an empty `hist` not at all; the uplink says `lo` as soon as it is true of the spool, too.
        """

    async def notify(self, notice: Notice) -> None:
        """Accept a message that is no record; kept until the city's broker has it."""

    async def checkpoint(self, source: str) -> bytes | None:
        """The state that this source last kept, or None."""

    def beat(self) -> None:
        """A sign of life without a reading: a quiet file was looked at, a broker's connection stands."""

    def trouble(self, what: str, *, device: str = "") -> None:
        """One failed read (a bad checksum, a silent unit): counted by source and device, logged at a bounded rate."""


class Source(Protocol):
    """A plug-in that reads one bus, port or file.

    `run` works until it is cancelled and never returns by itself. Whatever it raises is logged, counted, and
    answered by a restart after a growing pause; a plug-in need not catch what it cannot mend.
    """

    name: str
    """Unique in the configuration."""
    streams: Mapping[str, Sequence[str]]
    """The keys that it makes of each device, for their births (empty for a relay, whose nodes speak for themselves)."""
    deadline_s: float
    """Longest time without progress before the supervisor restarts it; puts and beats are progress, trouble is not."""

    async def run(self, sink: Sink) -> None:
        """Read and put, for ever."""


@runtime_checkable
class Marks(Protocol):
    """Who wants to hear of the city's `stored` marks and commands for nearby nodes: the relay."""

    async def stored(self, device: str, boot: str, seq: int) -> None:
        """Everything of this boot up to `seq` is accounted for; pass it on to the node."""

    async def command(self, device: str, ident: str, payload: bytes) -> None:
        """A command for a node behind us."""


class Output(Protocol):
    """Something in the street that the gateway can move: a relay, a dimming channel, a valve, a beacon."""

    name: str

    async def set(self, value: float) -> None:
        """Drive it; returns when it is done. Raises OSError (or a subclass) if it cannot be reached."""
