"""Every record, from when it was made until the server says that it is stored, across power cuts.

Records lie in segments (`segments.py`), each of one boot, in files numbered in the order of their making. A record is
durable when `append` returns; only then may it be sent. What is confirmed goes by whole segments. When the space
given is full, the oldest segment goes and its unconfirmed records are counted, and told to the server by `lo`.

    NNNNNNNN.seg     a segment
    NNNNNNNN.bad     a file that was none: kept for a look until its space is needed
    account.json     dropped records, what of each boot is confirmed, boots of which nothing is left, where damaged
                     segments end; by rename
"""

import json
import os

from qytet_node import segments
from qytet_node.lent import lent
from qytet_node.records import row, seq_of

_ACCOUNT = "account.json"
_NO_SPACE = 28
"""littlefs's own number for a full flash, the same on every port; `errno` does not name it."""
_BOOTS = 16
"""Boots whose fate is remembered after their last segment has gone, until the server has answered."""
_NUMBER, _BOOT, _FIRST, _LAST, _SIZE = range(5)


class FullError(Exception):
    """The flash has no room even after everything that may go has gone."""


class Backlog:
    """The records in a folder; `boot` is this boot's identity, 8 hexadecimal digits, new each time."""

    def __init__(self, folder, boot, cap_bytes, segment_bytes=16384):
        self._folder = folder
        self._cap = cap_bytes
        self._segment = segment_bytes
        self._writer = None
        self._cursor = None
        self._dropping = self.seq = 0
        self.boot = boot
        found = lent("opening").opened(folder)
        self._index, self.damaged = found["index"], found["damaged"]
        self.dropped, self._marks, self._gone = found["dropped"], found["marks"], found["gone"]
        self._ends = found[
            "ends"
        ]  # of damaged segments: the number of the last sound record, the rest is counted
        self._let_go()

    # ---- what is made

    def append(self, t, up, tq, m):
        """Keep a record; returns its number and its row when it is durable.

        Raises FullError when the flash cannot take it (it is counted as dropped, its number is used up), OSError if
        the flash fails.
        """
        self.seq += 1
        one = row(self.seq, t, up, tq, m)
        if len(one) > segments.LONGEST:
            raise ValueError("a record of " + str(len(one)) + " bytes")
        while not self._written(one):
            if not self._make_room():
                self.dropped += 1
                raise FullError
        if self._writer.size >= self._segment:
            self._roll()
        return self.seq, one

    @property
    def depth(self):
        """Records that are not known to be stored."""
        return sum(self._open_of(entry) for entry in self._index)

    @property
    def size(self):
        """Bytes in segments."""
        return sum(entry[_SIZE] for entry in self._index)

    # ---- what is sent

    def boots(self):
        """Every boot of which the server has not accounted for everything, oldest first."""
        found = list(self._gone)
        for entry in self._index:
            if entry[_BOOT] not in found and self._open_of(entry):
                found.append(entry[_BOOT])
        return found

    def lowest(self, boot):
        """The lowest number of a boot that is still held and not confirmed; one past its end if there is none."""
        beyond = self._gone.get(boot, 1)
        for entry in self._index:
            if entry[_BOOT] == boot:
                if entry[_LAST] > self._marks.get(boot, 0):
                    return max(entry[_FIRST], self._marks.get(boot, 0) + 1)
                beyond = max(beyond, entry[_LAST] + 1)
        return max(beyond, self.seq + 1 if boot == self.boot else 1)

    def rewind(self):
        """Begin the backfill again at the oldest record that is not confirmed."""
        self._cursor = None

    def backfill(self, most_rows, most_bytes, below=None):
        """The next rows of one boot, as `(boot, rows)`, oldest first; None when the cursor has reached the end.

        `below`: numbers of this boot from here on are left out (they are sent live).
        """
        while True:
            entry, offset, seq = self._place()
            if entry is None:
                return None
            found, size, end = [], 0, False
            mark = self._marks.get(entry[_BOOT], 0)
            lines = self._sound(entry, offset, seq)
            for after, number, one in lines:
                if below is not None and entry[_BOOT] == self.boot and number >= below:
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
                if self._writer is not None and entry is self._index[-1]:
                    end = True  # it still grows: go on from here next time
                else:
                    offset = -1
            lines.close()  # and with it the file: nobody else would, before the heap is full
            self._cursor = (entry[_NUMBER], offset, seq)
            if found:
                return entry[_BOOT], found
            if end:
                return None

    # ---- what is stored

    def stored(self, boot, seq):
        """The server's mark: everything of the boot up to `seq` is accounted for, and may go."""
        if boot == self.boot:
            seq = min(seq, self.seq)
        elif boot not in self._known():
            return
        if seq <= self._marks.get(boot, 0):
            return
        self._marks[boot] = seq
        if boot in self._gone and seq >= self._gone[boot] - 1:
            del self._gone[boot]
        self._let_go()

    def save(self):
        """Write down what is confirmed and dropped: after a power cut less is sent twice."""
        known = self._known()
        account = {
            "dropped": self.dropped,
            "dropping": self._dropping,
            "marks": {boot: seq for boot, seq in self._marks.items() if boot in known},
            "gone": self._gone,
            "ends": [[entry[_NUMBER], entry[_LAST]] for entry in self._index if entry[_NUMBER] in self._ends],
        }
        path = self._path(_ACCOUNT)
        with open(path + ".new", "w") as file:
            json.dump(account, file)
        os.rename(path + ".new", path)

    def close(self):
        """Save and close; the records stay."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._let_go()
        self.save()

    # ---- inside

    def _written(self, one):
        """Write a row durably; False when there is no room."""
        try:
            if self._writer is None:
                self._begin()
            self._writer.append(one)
            self._writer.flush()
        except OSError as error:
            if error.errno != _NO_SPACE:
                raise
            self._abandon()
            return False
        entry = self._index[-1]
        entry[_LAST], entry[_SIZE] = self.seq, self._writer.size
        return True

    def _begin(self):
        number = self._next_number()
        self._writer = segments.Writer(self._path(_name(number)), self.boot, self.seq)
        self._index.append([number, self.boot, self.seq, self.seq - 1, self._writer.size])

    def _roll(self):
        """End the segment; what it holds is durable already, so a full flash is no reason to fail here."""
        writer, self._writer = self._writer, None
        try:
            writer.close()
            self._let_go()
            while self.size > self._cap and self._make_room():
                pass
            self.save()
        except OSError as error:
            if error.errno != _NO_SPACE:
                raise

    def _next_number(self):
        if self._index:
            return self._index[-1][_NUMBER] + 1
        names = [name for name in os.listdir(self._folder) if name.endswith((".seg", ".bad"))]
        return max([int(name[:-4], 16) for name in names] or [0]) + 1

    def _abandon(self):
        """Give up the segment in hand after a failed write: its sound records stay, its torn end is never read."""
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except OSError:
                pass  # closing flushes, and there is no room
            entry = self._index[-1]
            if entry[_LAST] < entry[_FIRST]:
                self._remove(entry)

    def _make_room(self):
        """Remove what is least wanted: damaged files, then the oldest segment. False when there is nothing."""
        for name in os.listdir(self._folder):
            if name.endswith(".bad"):
                os.remove(self._path(name))
                return True
        if not self._index or (len(self._index) == 1 and self._writer is not None):
            return False
        entry = self._index[0]
        lost = self._open_of(entry)
        if lost:
            self._remember(entry, lost)
            self._dropping = entry[_NUMBER]
            self._try_to_save()  # first told, then gone: after a power cut in between it goes all the same
        self._remove(entry)
        self._dropping = 0
        self._try_to_save()
        return True

    def _try_to_save(self):
        try:
            self.save()
        except OSError as error:
            if error.errno != _NO_SPACE:
                raise

    def _remember(self, entry, lost):
        """Records of a segment are lost: count them, and let the server know up to where."""
        self.dropped += lost
        self._gone[entry[_BOOT]] = max(entry[_LAST] + 1, self._gone.get(entry[_BOOT], 0))
        while len(self._gone) > _BOOTS:
            del self._gone[next(iter(self._gone))]

    def _let_go(self):
        for entry in list(self._index):
            writing = self._writer is not None and entry is self._index[-1]
            if not writing and not self._open_of(entry):
                self._remove(entry)

    def _remove(self, entry):
        self._index.remove(entry)
        os.remove(self._path(_name(entry[_NUMBER])))

    def _open_of(self, entry):
        """Records of a segment that are not confirmed."""
        return max(0, entry[_LAST] - max(entry[_FIRST] - 1, self._marks.get(entry[_BOOT], 0)))

    def _known(self):
        """Boots that are not wholly accounted for, or lie in a segment."""
        return {entry[_BOOT] for entry in self._index} | set(self._gone)

    def _place(self):
        """The segment that the cursor stands in, the offset and the number before it; None at the end."""
        number, offset, seq = self._cursor or (0, 0, 0)
        for entry in self._index:
            if entry[_NUMBER] == number and offset >= 0:
                return entry, offset, seq
            if entry[_NUMBER] > number:
                return entry, 0, entry[_FIRST] - 1
        return None, 0, 0

    def _sound(self, entry, offset, seen):
        """The segment's rows; where they end before they should, the rest is lost, and the index says so."""
        lines = segments.rows(self._path(_name(entry[_NUMBER])), offset)
        try:
            for after, one in lines:
                seen = seq_of(one)
                yield after, seen, one
        finally:
            lines.close()
        if seen < entry[_LAST]:
            if self._writer is not None and entry is self._index[-1]:
                self._abandon()  # what would be written behind the damage could not be read either
            self.damaged += 1
            confirmed = self._marks.get(entry[_BOOT], 0)
            self._remember(entry, max(0, entry[_LAST] - max(seen, confirmed)))
            entry[_LAST] = self._ends[entry[_NUMBER]] = seen

    def _path(self, name):
        return self._folder + "/" + name


def _name(number):
    return "%08x.seg" % number
