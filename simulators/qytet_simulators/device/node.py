"""One simulated device: its boots, its sequence numbers and its backlog; it knows no connection."""

from collections.abc import Iterable, Sequence

import msgspec

from qytet_contract import notices, topics
from qytet_contract.properties import PROPERTIES
from qytet_simulators.device.backlog import Backlog, Patience
from qytet_simulators.device.record import Record
from qytet_simulators.device.tally import Latency, Tally

__all__ = ["FIRMWARE", "Node", "unsettled"]

FIRMWARE = "0.1.0"
_BOARD = "simulated"


class Node:
    """A device with the datastreams `keys`; `seed` makes the jitter of its resending its own."""

    def __init__(
        self,
        city: str,
        name: str,
        keys: Sequence[str],
        *,
        seed: object = 0,
        capacity: int = 10_000,
        patience: Patience | None = None,
        faithful: bool = True,
        tally: Tally | None = None,
        latency: Latency | None = None,
    ) -> None:
        self.city = city
        self.name = name
        self.keys = tuple(keys)
        self.faithful = faithful
        self.backlog = Backlog(capacity, patience=patience, seed=(seed, name), faithful=faithful)
        self.tally = tally or Tally()
        self.stored_after = latency or Latency()
        self.online = True
        self.boot = ""
        self.seq = 0
        kinds = (topics.BIRTH, topics.STATE, topics.OBS, topics.HIST, topics.STORED)
        self._topics = {kind: topics.topic(city, name, kind) for kind in kinds}

    def reboot(self, boot: str) -> None:
        """Start a new boot: the sequence begins again; the backlog outlives it."""
        self.tally.reboots += bool(self.boot)
        self.boot = boot
        self.seq = 0

    def accepted(self, boot: str, seq: int) -> bool:
        """Whether this record was accepted before; only the current boot makes new ones."""
        return boot != self.boot or seq <= self.seq

    def topic(self, kind: str) -> str:
        """The topic of one kind of this device's messages."""
        return self._topics[kind]

    def accept(self, record: Record) -> list[tuple[str, int]]:
        """Keep a record: from here on it is stored once, or reported as missing.

        Returns boot and seq of the records that had to be dropped for it.
        """
        dropped = self.backlog.accept(self.boot, record)
        self.seq = record.seq
        self.tally.records += 1
        self.tally.readings += len(record.m)
        self.tally.dropped += len(dropped)
        return dropped

    def mark(self, payload: bytes, now: float) -> None:
        """Heed a `stored` message; what is no such message, or of a boot long settled, is only counted."""
        try:
            mark = msgspec.json.decode(payload, type=_Mark)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.tally.strange += 1
            return
        covered = self.backlog.mark(mark.boot, mark.seq, now)
        if covered is None:
            self.tally.strange += mark.boot != self.boot
            return
        self.tally.stored += covered.number
        for sent_at in covered.sent_at:
            self.stored_after.add(now - sent_at)

    def acked(self, boot: str, seqs: tuple[int, ...]) -> None:
        """A PUBACK came for these records: the faithful wait for the mark, others trust it."""
        if not self.faithful:
            self.tally.trusted += self.backlog.trust(boot, seqs)

    def birth(self) -> bytes:
        """The retained description of this device and boot."""
        streams = [[key, PROPERTIES[key.partition(":")[0]][0]] for key in self.keys]
        return _encode(notices.birth(self.boot, self.backlog.lo(self.boot), FIRMWARE, _BOARD, streams))

    def state(self, word: str) -> bytes:
        """The retained state: ready, sleeping, offline or, as a last will, lost."""
        return _encode(notices.state(self.boot, word))


class _Mark(msgspec.Struct):
    boot: str
    seq: int


_encode = msgspec.json.Encoder().encode


def unsettled(nodes: Iterable[Node]) -> list[Node]:
    """The devices that still hold something, or whose losses the server has not confirmed."""
    return [node for node in nodes if not node.backlog.settled]
