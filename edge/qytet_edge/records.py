"""What passes through the gateway: readings on their way in, records in the spool, and messages that are passed on."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

__all__ = ["Checkpoint", "Notice", "Reading", "Record", "Relayed", "Values"]

Values = Mapping[str, float | int | None]
"""Keys as the contract has them (`property` or `property:channel`); None is "measured, no value"."""


class Reading(NamedTuple):
    """What an instrument of ours said: it becomes a record when the spool gives it a number.

    `t_ms`: Unix milliseconds if the instrument itself knows the time (a file's row, a GNSS fix), with `tq` saying
    how (a key of `codes.TIME_QUALITIES`, not "none"). None: the gateway's clock dates it when it is accepted.
    """

    device: str
    values: Values
    t_ms: int | None = None
    tq: str = "none"


class Relayed(NamedTuple):
    """A record that a nearby node made: its boot, number and time are its own and stay as they are.

    `m` is the JSON text of its values, byte for byte. `lo`: the lowest number that the node says it still holds.
    """

    device: str
    boot: str
    seq: int
    t_ms: int | None
    up_ms: int
    tq: str
    m: bytes
    lo: int | None = None


class Record(NamedTuple):
    """A record that is durable in the spool; (device, boot, seq) names it for ever. `m` is JSON text."""

    device: str
    boot: str
    seq: int
    t_ms: int | None
    up_ms: int
    tq: str
    m: bytes


class Checkpoint(NamedTuple):
    """How far a source has read (a file's offset, a counter's total): kept in the same transaction as its readings."""

    source: str
    state: bytes


class Notice(msgspec.Struct, frozen=True):
    """A message that is no record: birth, state, log, ack, or a node's message that cannot be read as a record.

    `kind` is the topic's last part (`birth`, `ack/42`); `payload` is passed on byte for byte. Of retained kinds
    only the newest of a device is kept.
    """

    device: str
    kind: str
    payload: bytes
    retain: bool = False
