"""One accepted record, and its bytes as `obs` and as a row of `hist`."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from qytet_contract import VERSION, records

__all__ = ["Record", "Value", "hist_bytes", "obs_bytes", "row_bytes"]

Value = int | float | None
_encode = msgspec.json.Encoder().encode


class Record(NamedTuple):
    """What the contract's `obs` carries beside version and boot: `t` and `up` in milliseconds."""

    seq: int
    t: int | None
    up: int
    tq: str
    m: dict[str, Value]


def obs_bytes(boot: str, record: Record) -> bytes:
    """The payload of a live message."""
    return _encode(records.obs(boot, record.seq, record.t, record.up, record.tq, record.m))


def row_bytes(record: Record) -> bytes:
    """One row of a backfill."""
    return _encode(record)


def hist_bytes(boot: str, lo: int, rows: Iterable[bytes]) -> bytes:
    """The payload of a backfill from rows that are encoded already; `lo` is the lowest seq still held."""
    return b'{"v":%d,"boot":"%s","lo":%d,"r":[%s]}' % (VERSION, boot.encode(), lo, b",".join(rows))
