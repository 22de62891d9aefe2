"""For the VM: a flash that lies in a file of the machine around it, and counts what wears it."""


class Flash:
    """A block device as littlefs wants it; `written` counts bytes."""

    def __init__(self, path, blocks, size=4096):
        self.count, self.size = blocks, size
        self._erases = bytearray(2 * blocks)
        self.written = 0
        self._file = open(path, "w+b")  # it lives as long as the VM
        for _ in range(blocks):
            self._file.write(b"\xff" * size)

    def readblocks(self, block, buffer, offset=0):
        self._file.seek(block * self.size + offset)
        self._file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=0):
        self._file.seek(block * self.size + offset)
        self._file.write(buffer)
        self.written += len(buffer)

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.count
        if operation == 5:
            return self.size
        if operation == 6:
            self._file.seek(argument * self.size)
            self._file.write(b"\xff" * self.size)
            self._erases[2 * argument] = low = (self._erases[2 * argument] + 1) & 255
            self._erases[2 * argument + 1] += not low
        return 0

    def of(self, block):
        """How often a block was erased."""
        return self._erases[2 * block] + 256 * self._erases[2 * block + 1]

    def total(self):
        """All erases."""
        return sum(self.of(block) for block in range(self.count))

    def most(self):
        """Erases of the block most worn."""
        return max(self.of(block) for block in range(self.count))
