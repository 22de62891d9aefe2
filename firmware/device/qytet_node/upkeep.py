"""What a backlog does seldom: when a segment begins or ends, or the flash is full (`lent.py`).

`kept` is the backlog (`backlog.Backlog`); its `index` has rows of number, boot, first, last, size.
"""

import json
import os

from qytet_node.segments import Writer

_NO_SPACE = 28
"""littlefs's own number for a full flash, the same on every port; `errno` does not name it."""
_BOOTS = 16
"""Boots whose fate is remembered after their last segment has gone, until the server has answered."""
_SEGMENTS = 200
"""Of which memory can hold the index, some 80 bytes each: power that flickers makes a short one each time."""
_NUMBER, _BOOT, _FIRST, _LAST = 0, 1, 2, 3


def begun(kept):
    """A new segment, for the record in hand."""
    while len(kept.index) >= _SEGMENTS and make_room(kept):
        pass
    number = _next_number(kept)
    kept.ends.pop(number, None)  # of a damaged one long since gone
    writer = Writer(kept.path(number), kept.boot, kept.seq + 1)
    kept.index.append([number, kept.boot, kept.seq + 1, kept.seq, writer.size])
    return writer


def _next_number(kept):
    if kept.index:
        return kept.index[-1][_NUMBER] + 1
    names = [name for name in os.listdir(kept.folder) if name.endswith((".seg", ".bad"))]
    return max([int(name[:-4], 16) for name in names] or [0]) + 1


def roll(kept):
    """End the segment; what it holds is durable already, so a full flash is no reason to fail here."""
    writer, kept.writer = kept.writer, None
    try:
        writer.close()
        kept.let_go()
        while kept.size > kept.cap and make_room(kept):
            pass
        save(kept)
    except OSError as error:
        if error.errno != _NO_SPACE:
            raise


def failed(kept, error):
    """A write failed: False if there was no room. Raises the error for anything else: this record is lost."""
    if error.errno != _NO_SPACE:
        kept.seq += 1  # part of it may be on flash, so nothing else may have its number
        kept.dropped += 1
    abandon(kept)
    if error.errno != _NO_SPACE:
        raise error
    return False


def abandon(kept):
    """Give up the segment in hand after a failed write: its sound records stay, its torn end is never read."""
    writer, kept.writer = kept.writer, None
    if writer is not None:
        try:
            writer.close()
        except OSError:
            pass  # closing flushes, and there is no room
        entry = kept.index[-1]
        if entry[_LAST] < entry[_FIRST]:
            kept.remove(entry)
        else:
            kept.ends[entry[_NUMBER]] = entry[_LAST]  # the next one of this boot may begin further on


def make_room(kept):
    """Remove what is least wanted: damaged files, then the oldest segment. False when there is nothing."""
    for name in os.listdir(kept.folder):
        if name.endswith(".bad"):
            os.remove(kept.folder + "/" + name)
            return True
    if not kept.index or (len(kept.index) == 1 and kept.writer is not None):
        return False
    entry = kept.index[0]
    lost = kept.open_of(entry)
    if lost:
        _remember(kept, entry, lost)
        kept.dropping = entry[_NUMBER]
        _try_to_save(kept)  # first told, then gone: after a power cut in between it goes all the same
    kept.remove(entry)
    kept.dropping = 0
    _try_to_save(kept)
    return True


def found_damaged(kept, entry, seen):
    """A segment ends with the record `seen`, before it should: the rest is lost, and the index says so."""
    if kept.writer is not None and entry is kept.index[-1]:
        abandon(kept)  # what would be written behind the damage could not be read either
    kept.damaged += 1
    confirmed = kept.marks.get(entry[_BOOT], 0)
    _remember(kept, entry, max(0, entry[_LAST] - max(seen, confirmed)))
    entry[_LAST] = kept.ends[entry[_NUMBER]] = seen


def _remember(kept, entry, lost):
    """Records of a segment are lost: count them, and let the server know up to where."""
    kept.dropped += lost
    kept.gone[entry[_BOOT]] = max(entry[_LAST] + 1, kept.gone.get(entry[_BOOT], 0))
    while len(kept.gone) > _BOOTS:
        del kept.gone[next(iter(kept.gone))]


def boots(kept):
    """As `Backlog.boots` says."""
    found = list(kept.gone)
    for entry in kept.index:
        if entry[_BOOT] not in found and kept.open_of(entry):
            found.append(entry[_BOOT])
    return found


def save(kept):
    """As `Backlog.save` says; by rename."""
    known = {entry[_BOOT] for entry in kept.index} | set(kept.gone)
    ends = [[entry[_NUMBER], entry[_LAST]] for entry in kept.index if entry[_NUMBER] in kept.ends]
    kept.ends = dict(ends)
    account = {
        "dropped": kept.dropped,
        "dropping": kept.dropping,
        "marks": {boot: seq for boot, seq in kept.marks.items() if boot in known},
        "gone": kept.gone,
        "ends": ends,
    }
    path = kept.folder + "/account.json"
    with open(path + ".new", "w") as file:
        json.dump(account, file)
    os.rename(path + ".new", path)


def _try_to_save(kept):
    try:
        save(kept)
    except OSError as error:
        if error.errno != _NO_SPACE:
            raise


def close(kept):
    """As `Backlog.close` says."""
    if kept.writer is not None:
        kept.writer.close()
        kept.writer = None
    kept.let_go()
    save(kept)
