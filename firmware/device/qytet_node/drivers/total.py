"""A count that survives resets and never goes backwards: only what is on flash is told.

Saved at most every so many pulses or so often, into a new file that then takes the old one's name; a power cut leaves
one or the other. What came after the last save is lost with the power: `every` says how much that may be, and costs a
save (about two erased blocks) each.
"""

import os
import time
from binascii import crc32

from qytet_node.drivers.errors import CHECKSUM, SensorError


class Total:
    """`start` is the count when no file exists yet: what the meter showed at installation, in pulses."""

    def __init__(self, path, start=0, every=100, every_ms=900000, clock=time):
        self._path, self._start, self._every, self._every_ms = path, start, every, every_ms
        self._now, self._diff = clock.ticks_ms, clock.ticks_diff
        self._at = clock.ticks_ms()
        self._live = self.saved = None
        self.failed = 0

    def load(self):
        """Take over what was saved. Raises SensorError `checksum` if it is broken: never 0 again.

        A torn new file alone is the first save of all, cut off.
        """
        found, broken = [], False
        for path in (self._path, self._path + ".new"):
            try:
                with open(path, "rb") as file:
                    found.append(_parsed(file.read(64)))
            except OSError:
                continue
            except ValueError:
                broken = broken or path == self._path
        if broken and not found:
            raise SensorError(CHECKSUM, self._path)
        self._live = self.saved = max(found) if found else self._start
        self._at = self._now()

    def add(self, count):
        """Count more."""
        self._live += count

    def told(self, force=False):
        """The count that is on flash, after a save if one is due; None if that failed."""
        waiting = self._live - self.saved
        if not waiting:
            self._at = self._now()  # lateness counts from the first pulse on, and ticks wrap
        late = self._diff(self._now(), self._at) >= self._every_ms
        if waiting and (force or late or waiting >= self._every or self.failed):
            try:
                self._save()
            except OSError:
                self.failed += 1
                return None
        return self.saved

    def _save(self):
        text = b"%d" % self._live
        new = self._path + ".new"
        with open(new, "wb") as file:
            file.write(b"%s %08x" % (text, crc32(text)))
        os.rename(new, self._path)
        self.saved, self._at, self.failed = self._live, self._now(), 0


def _parsed(data):
    text, _, crc = data.partition(b" ")
    if len(crc) != 8 or int(crc, 16) != crc32(text):
        raise ValueError("not a count")
    return int(text)
