"""For the VM: NOR flash in memory whose power fails at the n-th operation, in the middle of what was being written."""

import errno


class PowerCut(OSError):
    """The power is off: this and every later operation fails."""


class Flash:
    """A block device as littlefs wants it; `cut_at` counts writes and erases from 1, `rand(n)` gives 0 to n - 1."""

    def __init__(self, blocks, rand, size=4096):
        self.size, self.count, self.rand = size, blocks, rand
        self.data = bytearray(b"\xff" * (size * blocks))
        self.erases = [0] * blocks
        self.operations = 0
        self.cut_at = None
        self.off = self.gone = False

    def forget(self):
        """Nobody cares any more: files of before that the collector closes write to nothing, and raise nothing."""
        self.off = self.gone = True

    def after_cut(self):
        """The same chip with power again: a device of its own, so that no file of before can write to it."""
        again = Flash(0, self.rand, self.size)
        again.count, again.data, again.erases = self.count, bytearray(self.data), self.erases
        self.off = True
        return again

    def _cut(self):
        if self.off:
            raise PowerCut(errno.EIO)
        self.operations += 1
        if self.cut_at is not None and self.operations >= self.cut_at:
            self.off = True
        return self.off

    def readblocks(self, block, buffer, offset=0):
        if self.gone:
            return
        if self.off:
            raise PowerCut(errno.EIO)
        start = block * self.size + offset
        buffer[:] = self.data[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        if self.gone:
            return
        start, size = block * self.size + offset, len(buffer)
        torn = self._cut()
        if torn:
            size = self.rand(size + 1)
        for place in range(size):
            self.data[start + place] &= buffer[place]
        if torn:
            raise PowerCut(errno.EIO)

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.count
        if operation == 5:
            return self.size
        if operation == 6 and not self.gone:
            torn = self._cut()
            start, size = argument * self.size, self.rand(self.size + 1) if torn else self.size
            self.data[start : start + size] = b"\xff" * size
            self.erases[argument] += 1
            if torn:
                raise PowerCut(errno.EIO)
        return 0
