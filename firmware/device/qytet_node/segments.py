"""One segment of the backlog: a file that only grows, in which every record is checked by length and CRC-32.

    header   "QB1\\n", boot (8 characters), number of its first record (4 bytes), CRC-32 of these
    record   length (2 bytes), CRC-32 of the row (4 bytes), the row; all numbers little-endian

Whatever a power cut left at the end is recognised and not read. A segment is never written to again after a restart.
How it is read is in `reading.py`, its header in `opening.py`.
"""

import struct
from binascii import crc32

HEADER = "<4s8sI"
HEADER_SIZE = 20
RECORD = "<HI"
RECORD_SIZE = 6
LONGEST = 8192
"""Bytes of the longest row that is believed: 64 values with the longest names are below."""


class Writer:
    """Appends rows to a new segment."""

    def __init__(self, path, boot, first):
        head = struct.pack(HEADER, b"QB1\n", boot.encode(), first)
        self._file = open(path, "wb")
        self._file.write(head + struct.pack("<I", crc32(head)))
        self.size = HEADER_SIZE

    def append(self, one):
        """Write a row; it is durable after `flush`."""
        self._file.write(struct.pack(RECORD, len(one), crc32(one)) + one)
        self.size += RECORD_SIZE + len(one)

    def flush(self):
        """Return when all that was appended is on flash."""
        self._file.flush()

    def close(self):
        """Flush and close."""
        self._file.close()
