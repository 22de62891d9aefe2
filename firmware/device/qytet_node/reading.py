"""How records are read from flash: at the start, and to send those that the server does not have (`lent.py`)."""

import struct
from binascii import crc32

from qytet_node.lent import lent
from qytet_node.records import seq_of
from qytet_node.segments import HEADER_SIZE, LONGEST, RECORD, RECORD_SIZE

_NUMBER, _BOOT, _LAST = 0, 1, 3
"""Of a row of the backlog's index."""


def rows(path, skip=0):
    """Yield `(offset after it, row)` from an offset (0: the beginning) until the end, or what is torn."""
    with open(path, "rb") as file:
        skip = skip or HEADER_SIZE
        file.seek(skip)
        while True:
            head = file.read(RECORD_SIZE)
            if len(head) < RECORD_SIZE:
                return
            size, check = struct.unpack(RECORD, head)
            if not 0 < size <= LONGEST:
                return
            one = file.read(size)
            if len(one) < size or crc32(one) != check:
                return
            skip += RECORD_SIZE + size
            yield skip, one


def backfill(kept, most_rows, most_bytes, below):
    """As `Backlog.backfill` says; `kept` is the backlog."""
    while True:
        entry, offset, seq = kept.place()
        if entry is None:
            return None
        found, size, end = [], 0, False
        mark = kept.marks.get(entry[_BOOT], 0)
        lines = _sound(kept, entry, offset, seq)
        for after, number, one in lines:
            if below is not None and entry[_BOOT] == kept.boot and number >= below:
                end = True
                break
            if found and size + len(one) > most_bytes:
                break
            offset, seq = after, number
            if number > mark:
                found.append(one)
                size += len(one)
                if len(found) >= most_rows:
                    break
        else:
            if kept.writer is not None and entry is kept.index[-1]:
                end = True  # it still grows: go on from here next time
            else:
                offset = -1
        lines.close()  # and with it the file: nobody else would, before the heap is full
        kept.cursor = (entry[_NUMBER], offset, seq)
        if found:
            return entry[_BOOT], found
        if end:
            return None


def _sound(kept, entry, offset, seen):
    """The segment's rows; where they end before they should, the rest is lost, and the index says so."""
    lines = rows(kept.path(entry[_NUMBER]), offset)
    try:
        for after, one in lines:
            seen = seq_of(one)
            yield after, seen, one
    finally:
        lines.close()
    if seen < entry[_LAST]:
        lent("upkeep").found_damaged(kept, entry, seen)
