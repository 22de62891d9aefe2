"""`esp32`: partitions of the bench's flash file, and what the chip says of itself."""

import struct

import _bench
from _bench import ask

HEAP_DATA, HEAP_EXEC = 4, 1
WAKEUP_ALL_LOW, WAKEUP_ANY_HIGH = False, True
_TABLE = 0x8000
_BLOCK = 4096


class Partition:
    """A piece of flash as littlefs wants it; found in the table that was flashed."""

    TYPE_APP, TYPE_DATA = 0, 1
    BOOT, RUNNING = 0, 1

    def __init__(self, label, *place, block_size=_BLOCK):
        if not place:
            for one in self.find(label=label):
                place = one.info()
            if not place:
                raise OSError(2)
            place = place[2:4] + place[:2]
        self._offset, self._size, self._type, self._subtype = place
        self._label = label

    @staticmethod
    def find(type=TYPE_APP, subtype=0xFF, label=None, block_size=_BLOCK):
        """Those of the table that fit what is given; of any type if a label is given and no type."""
        found, entry = [], bytearray(32)
        for at in range(_TABLE, _TABLE + 0xC00, 32):
            _bench.read_flash(at, entry)
            magic, kind, sub, offset, size = struct.unpack_from("<HBBII", entry)
            if magic != 0x50AA:
                break
            name = bytes(entry[12:28]).split(b"\0")[0].decode()
            if (label == name) if label is not None else kind == type and subtype in (0xFF, sub):
                found.append(Partition(name, offset, size, kind, sub))
        return found

    def info(self):
        """(type, subtype, offset, size, label, encrypted)."""
        return (self._type, self._subtype, self._offset, self._size, self._label, False)

    def readblocks(self, block, buf, offset=0):
        """Bytes into `buf`."""
        _bench.read_flash(self._offset + block * _BLOCK + offset, buf)

    def writeblocks(self, block, buf, offset=None):
        """Bytes of `buf`; erases first if no offset is given."""
        if offset is None:
            for one in range(len(buf) // _BLOCK):
                self.ioctl(6, block + one)
            offset = 0
        ask(_bench.FLASH_WRITE, 0, self._offset + block * _BLOCK + offset, data=buf)

    def ioctl(self, operation, argument):
        """As the file systems ask: 4 blocks, 5 their size, 6 erase."""
        if operation == 4:
            return self._size // _BLOCK
        if operation == 5:
            return _BLOCK
        if operation == 6:
            ask(_bench.FLASH_ERASE, 0, self._offset + argument * _BLOCK, _BLOCK)
        return 0

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        """There is one application partition."""


def mcu_temperature():
    """Celsius; on the S3 and C3."""
    return 42


def idf_heap_info(capabilities):
    """(total, free, largest, least free ever) of one region: memory outside the program's heap is not simulated."""
    return [(163840, 98304, 65536, 81920)]
