"""What a backlog finds in its folder at the start: segments, and its account; needed then only (`lent.py`)."""

import errno
import gc
import json
import os
import struct
from binascii import crc32

from qytet_node.reading import rows
from qytet_node.records import seq_of
from qytet_node.segments import HEADER, HEADER_SIZE

_NUMBER, _BOOT, _FIRST, _LAST = 0, 1, 2, 3
"""Of a row of the index; its fifth field is the size in bytes (`backlog.py`)."""
_TIDY = 4
"""Segments after which memory is collected: rows of the index must not lie strewn over all of it, and stay there."""


class CorruptError(Exception):
    """A file that is no segment, or whose header is torn."""


def opened(folder):
    """A dictionary: index (rows, oldest first), damaged, dropped, marks, gone, ends. Clears away what is none."""
    try:
        os.mkdir(folder)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
    found = {"index": [], "damaged": 0, "dropped": 0, "marks": {}, "gone": {}, "ends": {}}
    dropping = _read_account(folder, found)
    for name in sorted(os.listdir(folder)):
        if name.endswith(".seg"):
            _take(folder + "/" + name, int(name[:-4], 16), dropping, found)
            if not len(found["index"]) % _TIDY:
                gc.collect()
    for place, entry in enumerate(found["index"]):
        entry[_LAST] = _last(folder, found, place)
    return found


def _read_account(folder, found):
    """Fill in what the account says; returns the segment that was being dropped."""
    try:
        with open(folder + "/account.json") as file:
            account = json.load(file)
        found["dropped"] = int(account["dropped"])
        found["marks"] = {str(boot): int(seq) for boot, seq in account["marks"].items()}
        found["gone"] = {str(boot): int(seq) for boot, seq in account["gone"].items()}
        found["ends"] = {int(number): int(last) for number, last in account.get("ends", ())}
        return int(account["dropping"])
    except OSError:
        pass  # none was written yet
    except (ValueError, KeyError, TypeError, AttributeError):
        found["damaged"] += 1
    return 0


def _take(path, number, dropping, found):
    size = os.stat(path)[6]
    if size < HEADER_SIZE:  # the power went between its name and its first record
        os.remove(path)
        return
    try:
        boot, first = _header(path)
    except CorruptError:
        found["damaged"] += 1
        os.rename(path, path[:-4] + ".bad")
        return
    if number == dropping:  # the power went between its account and its end
        os.remove(path)
    else:
        found["index"].append([number, boot, first, first - 1, size])


def _last(folder, found, place):
    """The number of a segment's last record: by the next one of its boot, so that only the last one must be read."""
    index = found["index"]
    entry = index[place]
    if entry[_NUMBER] in found["ends"]:
        return found["ends"][entry[_NUMBER]]
    following = index[place + 1] if place + 1 < len(index) else None
    if following is not None and following[_BOOT] == entry[_BOOT]:
        return following[_FIRST] - 1
    last = entry[_FIRST] - 1
    for _, one in rows(folder + "/%08x.seg" % entry[_NUMBER]):
        last = seq_of(one)
    return last


def _header(path):
    """Boot and the number of the first record. Raises CorruptError."""
    with open(path, "rb") as file:
        head = file.read(HEADER_SIZE)
    if len(head) < HEADER_SIZE or head[:4] != b"QB1\n":
        raise CorruptError("no header")
    if struct.unpack_from("<I", head, 16)[0] != crc32(head[:16]):
        raise CorruptError("the header is damaged")
    _, boot, first = struct.unpack_from(HEADER, head)
    return boot.decode(), first
