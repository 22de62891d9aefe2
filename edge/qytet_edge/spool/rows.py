"""A record as a row of the file, with a checksum: what a card has altered must never pass for a reading.

SQLite looks after its own pages only. Besides, one altered `m` that is no JSON any more would make the city refuse
the whole message that carries it, again and again.
"""

import sqlite3
import zlib
from typing import Any

from qytet_contract.codes import TIME_QUALITIES
from qytet_edge.records import Record

__all__ = ["Row", "checksum", "damaged", "fits", "is_whole", "pack", "seed", "unpack"]

Row = tuple[int, int | None, int, int, int, bytes, int]
"""seq, t, up, tq, kept_s, m, sum: as `intake` and `record` have them after `boot_id`."""
_QUALITIES = {number: name for name, number in TIME_QUALITIES.items()}


def seed(device: str, boot: str) -> int:
    """Where the checksums of a numbering begin, so that no record passes for another device's."""
    return zlib.crc32(f"{device}/{boot}".encode())


def checksum(*values: object) -> int:
    """The checksum of a row of plain values."""
    return zlib.crc32(repr(values).encode())


def is_whole(row: tuple[Any, ...]) -> bool:
    """Whether a row that ends with its checksum is as it was written."""
    return bool(checksum(*row[:-1]) == row[-1])


def pack(record: Record, kept_s: int, begin: int) -> Row:
    """The row of a record; `begin` is its numbering's seed."""
    _device, _boot, seq, t, up, quality, m = record
    tq = TIME_QUALITIES[quality]
    return seq, t, up, tq, kept_s, m, _sum(seq, t, up, tq, kept_s, m, begin)


def _sum(seq: int, t: int | None, up: int, tq: int, kept_s: int, m: bytes, begin: int) -> int:
    return zlib.crc32(m, zlib.crc32(b"%d %d %d %d %d" % (seq, t or 0, up, tq, kept_s), begin))


def fits(row: tuple[Any, ...], begin: int) -> bool:
    """Whether a row is as it was written; a damaged page may give anything."""
    try:
        seq, t, up, tq, kept_s, m, total = row
        return bool(_sum(seq, t, up, tq, kept_s, m, begin) == total)
    except TypeError:
        return False


def unpack(device: str, boot: str, row: Row, begin: int) -> Record:
    """The record of a row. Raises sqlite3.DatabaseError if it has changed since it was written."""
    if not fits(row, begin):
        raise damaged(f"record {row[0]} of {device} {boot} has changed since it was written")
    return Record(device, boot, row[0], row[1], row[2], _QUALITIES[row[3]], row[5])


def damaged(why: str) -> sqlite3.DatabaseError:
    """The error that SQLite itself would raise of a file that cannot be trusted."""
    error = sqlite3.DatabaseError(why)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error
