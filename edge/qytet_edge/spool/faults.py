"""What an error of SQLite means for the spool: wait for the disk, set the file aside, or a mistake of ours."""

import sqlite3
from enum import Enum

__all__ = ["UNREADABLE", "Fault", "classify"]

UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading a damaged file may raise."""


class Fault(Enum):
    """What to do about it."""

    FULL = "full"
    """No room, or none that we may use: wait and try again."""
    DISK = "disk"
    """The disk failed: what the connection believes may be untrue; open the file anew, then try again."""
    CORRUPT = "corrupt"
    """The file cannot be trusted: set it aside."""
    BUG = "bug"
    """Nothing that the world could cause."""


_CODES = {
    sqlite3.SQLITE_FULL: Fault.FULL,
    sqlite3.SQLITE_READONLY: Fault.FULL,
    sqlite3.SQLITE_PERM: Fault.FULL,
    sqlite3.SQLITE_NOMEM: Fault.FULL,
    sqlite3.SQLITE_BUSY: Fault.FULL,
    sqlite3.SQLITE_CANTOPEN: Fault.DISK,
    sqlite3.SQLITE_IOERR: Fault.DISK,
    sqlite3.SQLITE_PROTOCOL: Fault.DISK,
    sqlite3.SQLITE_CORRUPT: Fault.CORRUPT,
    sqlite3.SQLITE_NOTADB: Fault.CORRUPT,
    sqlite3.SQLITE_FORMAT: Fault.CORRUPT,
}


def classify(error: BaseException) -> Fault:
    """The fault behind an error, by SQLite's primary result code (the low eight bits)."""
    if isinstance(error, UnicodeDecodeError):
        return Fault.CORRUPT  # also SQLite's messages name what they found in a damaged schema
    if isinstance(error, OSError):
        return Fault.FULL
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return _CODES.get(code & 0xFF, Fault.BUG)
    # The module itself raises this one without a code, for a text that is no UTF-8: we never write such.
    return Fault.CORRUPT if isinstance(error, sqlite3.OperationalError) else Fault.BUG
