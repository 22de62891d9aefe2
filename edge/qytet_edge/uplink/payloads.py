"""What the uplink says and hears as bytes: records as `obs` and `hist`, births, states, and `stored` marks."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from qytet_contract import VERSION, notices, records
from qytet_contract.codes import ContractError
from qytet_contract.properties import PROPERTIES
from qytet_edge.records import Record

__all__ = ["Stored", "birth", "hist", "lower_birth", "obs", "row", "state", "stored"]

_encode = msgspec.json.Encoder().encode
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a stranger's bytes may raise; brackets without end raise the last."""


class Stored(msgspec.Struct, frozen=True):
    """A `stored` mark: everything of `boot` up to `seq` is accounted for."""

    v: int
    boot: str
    seq: int


_decode_stored = msgspec.json.Decoder(Stored, strict=True).decode


def obs(record: Record) -> bytes:
    """The payload of a live record; its values stay as they are, byte for byte."""
    return b'{"v":%d,"boot":"%s","seq":%d,"t":%s,"up":%d,"tq":"%s","m":%s}' % (
        VERSION,
        record.boot.encode(),
        record.seq,
        b"null" if record.t_ms is None else b"%d" % record.t_ms,
        record.up_ms,
        record.tq.encode(),
        record.m,
    )


def row(record: Record) -> bytes:
    """One row of a `hist`."""
    return b'[%d,%s,%d,"%s",%s]' % (
        record.seq,
        b"null" if record.t_ms is None else b"%d" % record.t_ms,
        record.up_ms,
        record.tq.encode(),
        record.m,
    )


def hist(boot: str, lo: int, rows: Iterable[bytes]) -> bytes:
    """The payload of a backfill; `lo`: the lowest number of this boot that is still held. No rows: only that word."""
    return b'{"v":%d,"boot":"%s","lo":%d,"r":[%s]}' % (VERSION, boot.encode(), lo, b",".join(rows))


def birth(boot: str, lo: int, firmware: str, board: str, keys: Sequence[str]) -> bytes:
    """The retained description of a device of ours; `keys` are its datastreams, of which the first 256 are told."""
    units = [(key, PROPERTIES.get(key.partition(":")[0])) for key in keys]
    streams = [[key, row[0]] for key, row in units if row is not None]
    return _encode(notices.birth(boot, lo, firmware, board, streams[: notices.MAX_STREAMS]))


def state(boot: str, word: str) -> bytes:
    """The retained state: ready, sleeping, offline or, as a last will, lost."""
    return _encode(notices.state(boot, word))


def lower_birth(payload: bytes, lowest: dict[str, int]) -> bytes:
    """A node's birth as it may be passed on; `lowest` is the lowest number of each boot that may be said to be held.

    `lo` says what nobody holds any more. What the node gave up and the gateway still has is not lost: told the
    node's `lo`, the city would count it as dropped, mark it, and the mark would delete it here.
    """
    try:
        found: Any = msgspec.json.decode(payload)
        here, lo = lowest.get(found["boot"]), found["lo"]
    except (*_BAD, TypeError, KeyError):
        return payload  # not a birth: the city says so, with these bytes
    if here is None or type(lo) is not int or lo <= here:
        return payload
    return _encode(found | {"lo": here})


def stored(payload: bytes) -> Stored:
    """Read a `stored` mark. Raises ContractError."""
    try:
        mark = _decode_stored(payload)
    except _BAD as error:
        raise ContractError("wrong_type", str(error)) from None
    notices.check_stored({"v": mark.v, "boot": mark.boot, "seq": mark.seq})
    records.check_boot(mark.boot)
    return mark
