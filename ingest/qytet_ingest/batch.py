"""A batch: what one transaction will hold, as parallel lists that the hot path appends to and numpy reads."""

from dataclasses import dataclass, field

from qytet_ingest.ledger import Boot

__all__ = ["Ack", "Batch", "Birth", "DeadLetter", "LogLine", "StateChange", "Undated"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be stored, with its raw bytes; `device` as the topic claims it."""

    topic: bytes
    payload: bytes
    reason: str
    detail: str
    device: str


@dataclass(frozen=True, slots=True)
class Undated:
    """A record made before the clock was set: it waits for an anchor of its boot. `m` is JSON text."""

    boot: Boot
    seq: int
    up_ms: int
    m: str
    message: int


@dataclass(frozen=True, slots=True)
class Birth:
    """A device's account of itself."""

    device_id: int
    boot: str
    firmware: str
    board: str


@dataclass(frozen=True, slots=True)
class StateChange:
    """A device's state; a will (`lost`) counts only for the boot that is current."""

    device_id: int
    boot: str
    state: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A device's own warning."""

    device_id: int
    boot: str
    up_ms: int
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Ack:
    """A device's answer to a command; `ident` is the command's id."""

    device_id: int
    ident: str
    state: str
    why: str


@dataclass(slots=True)
class Batch:
    """Messages in order of arrival and what became of them.

    messages   (topic, payload)
    record_*   one entry a record: its message, boot, seq, time (Unix ms), time quality and number of values
    streams, values   one entry a reading (datastream id, number or None), in the order of the records
    """

    messages: list[tuple[bytes, bytes]] = field(default_factory=list)
    record_message: list[int] = field(default_factory=list)
    record_boot: list[Boot] = field(default_factory=list)
    record_seq: list[int] = field(default_factory=list)
    record_time: list[int] = field(default_factory=list)
    record_tq: list[int] = field(default_factory=list)
    record_size: list[int] = field(default_factory=list)
    streams: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    boots: list[Boot] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    undated: list[Undated] = field(default_factory=list)
    births: list[Birth] = field(default_factory=list)
    states: list[StateChange] = field(default_factory=list)
    logs: list[LogLine] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.messages)

    def touch(self, boot: Boot) -> None:
        """Remember that this boot's ledger row changes with this batch."""
        if not boot.touched:
            boot.touched = True
            self.boots.append(boot)

    def add_record(
        self, message: int, boot: Boot, record: "tuple[int, int, int, dict[int, float | None]]"
    ) -> None:
        """Append one record: seq, time in Unix ms, time quality, and values by datastream id."""
        seq, time, quality, values = record
        self.record_message.append(message)
        self.record_boot.append(boot)
        self.record_seq.append(seq)
        self.record_time.append(time)
        self.record_tq.append(quality)
        self.record_size.append(len(values))
        self.streams.extend(values)
        self.values.extend(values.values())
