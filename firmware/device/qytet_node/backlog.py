"""Every record, from when it was made until the server says that it is stored, across power cuts.

Records lie in segments (`segments.py`), each of one boot, in files numbered in the order of their making. A record is
durable when `append` returns; only then may it be sent. What is confirmed goes by whole segments. When the space
given is full, the oldest segment goes and its unconfirmed records are counted, and told to the server by `lo`.

    NNNNNNNN.seg     a segment
    NNNNNNNN.bad     a file that was none: kept for a look until its space is needed
    account.json     dropped records, what of each boot is confirmed, boots of which nothing is left, where segments
                     end that were damaged or given up; by rename
"""

import os

from qytet_node import segments
from qytet_node.lent import lent
from qytet_node.records import row

_NUMBER, _BOOT, _FIRST, _LAST, _SIZE = 0, 1, 2, 3, 4


class FullError(Exception):
    """The flash has no room even after everything that may go has gone."""


class Backlog:
    """The records in a folder; `boot` is this boot's identity, 8 hexadecimal digits, new each time."""

    def __init__(self, folder, boot, cap_bytes, segment_bytes=16384):
        self.folder = folder
        self.cap = cap_bytes
        self._segment = segment_bytes
        self.writer = None
        self.cursor = None
        self.dropping = self.seq = 0
        self.boot = boot
        found = lent("opening").opened(folder)
        self.index, self.damaged = found["index"], found["damaged"]
        self.dropped, self.marks, self.gone = found["dropped"], found["marks"], found["gone"]
        self.ends = found["ends"]  # of segments that ended before their time: their last sound number
        self.let_go()

    # ---- what is made

    def append(self, t, up, tq, m):
        """Keep a record; returns its number and its row when it is durable.

        Raises FullError when the flash cannot take it, OSError if the flash fails: it is counted as dropped, its number
        is used up. Whatever else is raised comes before anything was written, and uses nothing up.
        """
        one = row(self.seq + 1, t, up, tq, m)
        if len(one) > segments.LONGEST:
            raise ValueError("a record of " + str(len(one)) + " bytes")
        while not self._written(one):
            if not lent("upkeep").make_room(self):
                self.dropped += 1
                self.seq += 1
                raise FullError
        self.seq += 1
        if self.writer.size >= self._segment:
            lent("upkeep").roll(self)
        return self.seq, one

    @property
    def depth(self):
        """Records that are not known to be stored."""
        return sum(self.open_of(entry) for entry in self.index)

    @property
    def size(self):
        """Bytes in segments."""
        return sum(entry[_SIZE] for entry in self.index)

    # ---- what is sent

    def boots(self):
        """Every boot of which the server has not accounted for everything, oldest first."""
        return lent("upkeep").boots(self)

    def lowest(self, boot):
        """The lowest number of a boot that is still held and not confirmed; one past its end if there is none."""
        beyond = self.gone.get(boot, 1)
        for entry in self.index:
            if entry[_BOOT] == boot:
                if entry[_LAST] > self.marks.get(boot, 0):
                    return max(entry[_FIRST], self.marks.get(boot, 0) + 1)
                beyond = max(beyond, entry[_LAST] + 1)
        return max(beyond, self.seq + 1 if boot == self.boot else 1)

    def rewind(self):
        """Begin the backfill again at the oldest record that is not confirmed."""
        self.cursor = None

    def backfill(self, most_rows, most_bytes, below=None):
        """The next rows of one boot, as `(boot, rows)`, oldest first; None when the cursor has reached the end.

        `below`: numbers of this boot from here on are left out (they are sent live).
        """
        entry, _, seq = self.place()
        if entry is None or (below is not None and entry[_BOOT] == self.boot and seq + 1 >= below):
            return None
        return lent("reading").backfill(self, most_rows, most_bytes, below)

    # ---- what is stored

    def stored(self, boot, seq):
        """The server's mark: everything of the boot up to `seq` is accounted for, and may go."""
        if boot == self.boot:
            seq = min(seq, self.seq)
        elif boot not in self.gone and not any(entry[_BOOT] == boot for entry in self.index):
            return
        if seq <= self.marks.get(boot, 0):
            return
        self.marks[boot] = seq
        if boot in self.gone and seq >= self.gone[boot] - 1:
            del self.gone[boot]
        self.let_go()

    def save(self):
        """Write down what is confirmed and dropped: after a power cut less is sent twice."""
        lent("upkeep").save(self)

    def close(self):
        """Save and close; the records stay."""
        lent("upkeep").close(self)

    # ---- inside

    def _written(self, one):
        """Write a row durably; False when there is no room."""
        try:
            if self.writer is None:
                self.writer = lent("upkeep").begun(self)
            self.writer.append(one)
            self.writer.flush()
        except OSError as error:
            return lent("upkeep").failed(self, error)
        entry = self.index[-1]
        entry[_LAST], entry[_SIZE] = self.seq + 1, self.writer.size
        return True

    def let_go(self):
        """Remove every segment that is wholly confirmed, but for the one in hand."""
        for entry in list(self.index):
            writing = self.writer is not None and entry is self.index[-1]
            if not writing and not self.open_of(entry):
                self.remove(entry)

    def remove(self, entry):
        """Remove a segment."""
        self.index.remove(entry)
        os.remove(self.path(entry[_NUMBER]))

    def open_of(self, entry):
        """Records of a segment that are not confirmed."""
        return max(0, entry[_LAST] - max(entry[_FIRST] - 1, self.marks.get(entry[_BOOT], 0)))

    def place(self):
        """The segment that the cursor stands in, the offset and the number before it; None at the end."""
        number, offset, seq = self.cursor or (0, 0, 0)
        for entry in self.index:
            if entry[_NUMBER] == number and offset >= 0:
                return entry, offset, seq
            if entry[_NUMBER] > number:
                return entry, 0, entry[_FIRST] - 1
        return None, 0, 0

    def path(self, number):
        """Where a segment lies."""
        return self.folder + "/%08x.seg" % number
