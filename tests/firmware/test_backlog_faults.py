"""The node's backlog in the VM when its flash rots, fails or is full: what is lost is told, the rest is kept."""

from tests.firmware.keeping import on_littlefs
from tests.servers.micropython import MicroPython


def test_a_damaged_segment_costs_its_own_records_only(micropython: MicroPython) -> None:
    """Bytes that rotted end their segment: what is before and after is sent, what is lost is counted and told."""
    said = on_littlefs(
        micropython,
        """
formatted()
b = Backlog("/f/data", "0000000a", 100000, 1000)
fill(b, 60)
b.close()
names = sorted(name for name in os.listdir("/f/data") if name.endswith(".seg"))
with open("/f/data/" + names[0], "r+b") as file:
    file.seek(300)
    file.write(b"rot")
with open("/f/data/" + names[-1], "r+b") as file:
    file.write(b"rot")
b = Backlog("/f/data", "0000000b", 100000, 1000)
found = [seq for _, seq in rows(b)]
good = [seq for seq in range(1, found[-1] + 1) if seq not in found]
say([b.damaged, good == list(range(good[0], good[-1] + 1)), b.dropped == len(good), found[0]])
b.stored("0000000a", good[0] - 1)
say(b.lowest("0000000a") == good[-1] + 1)
say([name for name in os.listdir("/f/data") if name.endswith(".bad")] == [names[-1][:-4] + ".bad"])
""",
    )
    assert said == [[2, True, True, 1], True, True]


def test_a_record_that_no_flash_could_take_is_counted_once(micropython: MicroPython) -> None:
    """Its number is used up and counted as dropped; a restart finds neither more nor less."""
    said = on_littlefs(
        micropython,
        """
from qytet_node import segments
class Full:
    def __init__(self, *given):
        raise OSError(28)
formatted()
b = Backlog("/f/data", "0000000a", 10**9, 10)
fill(b, 40)
b.stored("0000000a", 40)
room, segments.Writer, refused = segments.Writer, Full, 0
for number in range(3):
    try:
        fill(b, 1, b.seq)
    except FullError:
        refused += 1
segments.Writer = room
fill(b, 20, b.seq)
say(refused)
say([b.dropped >= 3, b.dropped + b.depth == b.seq - 40])
b.close()
again = Backlog("/f/data", "0000000b", 10**9, 2000)
say([again.dropped == b.dropped, again.depth == b.depth])
found = rows(again)
say([len(found) == b.depth, found[-1][1] == b.seq, again.dropped == b.dropped, again.damaged])
""",
    )
    assert said == [3, [True, True], [True, True], [True, True, True, 0]]


_FAILING = """
from qytet_node import segments
class Failing(segments.Writer):
    error = None
    def append(self, one):
        error, Failing.error = Failing.error, None
        if isinstance(error, OSError):
            self._file.write(one[:9])
        if error:
            raise error
        super().append(one)
segments.Writer = Failing
formatted()
b = Backlog("/f/data", "0000000a", 10**9)
def attempt(error, m={"pm2_5": 1}):
    Failing.error = error
    try:
        b.append(1789000000000, 1, "ntp", m)
    except Exception as found:
        say(type(found).__name__)
"""


def test_what_fails_before_it_is_written_leaves_no_hole(micropython: MicroPython) -> None:
    """Without memory for a record, or with a value that is none, its number goes to the next: no mark waits for it."""
    said = on_littlefs(
        micropython,
        _FAILING
        + """
fill(b, 5)
attempt(MemoryError())
fill(b, 1)
attempt(None, {"pm2_5": "much"})
fill(b, 4)
say([seq for _, seq in rows(b)] == list(range(1, 11)))
say([b.seq, b.depth, b.dropped, b.damaged])
""",
    )
    assert said == ["MemoryError", "ValueError", True, [10, 10, 0, 0]]


def test_a_flash_that_fails_costs_one_record_which_is_told(micropython: MicroPython) -> None:
    """A write that ends in an error is counted once; what comes after it is kept, and `lo` says what is gone."""
    said = on_littlefs(
        micropython,
        _FAILING
        + """
fill(b, 5)
attempt(OSError(5))
fill(b, 4)
say([[seq for _, seq in rows(b)], b.dropped, b.damaged, b.depth])
b.close()
b = Backlog("/f/data", "0000000b", 10**9)
say([[seq for _, seq in rows(b)], b.dropped, b.damaged, b.depth])
b.stored("0000000a", 5)
say(b.lowest("0000000a"))
""",
    )
    found = [[1, 2, 3, 4, 5, 7, 8, 9, 10], 1, 0, 9]
    assert said == ["OSError", found, found, 7]


def test_a_number_that_comes_again_is_a_segment_of_its_own(micropython: MicroPython) -> None:
    """Where a damaged segment once ended says nothing of a later one of the same number, whenever the power goes."""
    said = on_littlefs(
        micropython,
        _FAILING
        + """
fill(b, 5)
attempt(OSError(5))
b.stored("0000000a", 5)
say(len(b.index))
fill(b, 2)
b.save()
fill(b, 3)
say([entry[0] for entry in b.index])
b = Backlog("/f/data", "0000000b", 10**9)
say([len(rows(b)), b.depth])
""",
    )
    assert said == ["OSError", 0, [1], [5, 5]]


def test_what_rots_in_the_segment_in_hand_is_counted_once(micropython: MicroPython) -> None:
    """However often it is read and written on: what lies behind the damage is lost once, and what comes is kept."""
    said = on_littlefs(
        micropython,
        """
flash = formatted()
b = Backlog("/f/data", "0000000a", 100000, 100000)
fill(b, 60)
place = flash.data.find(b'{"pm2_5":30}')
while place >= 0:  # littlefs left copies behind
    flash.data[place + 10] ^= 1
    place = flash.data.find(b'{"pm2_5":30}', place)
for first in (60, 65):
    b.rewind()
    said = [seq for _, seq in rows(b)]
    fill(b, 5, first)
b.rewind()
found = [seq for _, seq in rows(b)]
say([found == list(range(1, 31)) + list(range(61, 71)), b.damaged, b.dropped, b.depth])
b.close()
b = Backlog("/f/data", "0000000b", 100000, 100000)
say([len(rows(b)), b.dropped])
""",
    )
    assert said == [[True, 1, 30, 40], [40, 30]]
