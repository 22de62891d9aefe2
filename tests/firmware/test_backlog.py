"""The node's backlog in the VM, on littlefs on a flash whose power fails."""

import json
from pathlib import Path

import pytest

from tests.firmware.device import CONTRACT, DEVICE, run
from tests.servers.micropython import MicroPython

VM = Path(__file__).parent / "vm"
_OPEN = """
import json, os, random, vfs, errno
from cutflash import Flash
from qytet_node.backlog import Backlog, FullError
from qytet_node.records import seq_of, obs, hist
def say(value):
    print(json.dumps(value))
def formatted(blocks=64, size=4096):
    flash = Flash(blocks, lambda n: 0, size)
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/f")
    return flash
def rows(backlog, most=1000, size=100000, **more):
    found = []
    while True:
        part = backlog.backfill(most, size, **more)
        if part is None:
            return found
        found += [[part[0], seq_of(one)] for one in part[1]]
def fill(backlog, count, first=0):
    for number in range(first, first + count):
        backlog.append(1789000000000 + number, number, "ntp", {"pm2_5": number})
"""


@pytest.mark.parametrize("part", range(8))
def test_no_power_cut_loses_a_record_that_was_accepted(micropython: MicroPython, part: int) -> None:
    """After a cut at any flash operation, torn writes included, all that `append` took is stored or told as lost."""
    done = micropython.run(
        VM / "backlog_cuts.py",
        "7",
        str(1 + part * 40),
        "40",
        path=[VM, DEVICE, CONTRACT],
        heap="4M",
        timeout=120,
    )
    text = done.stdout.decode()
    assert done.returncode == 0, text + done.stderr.decode()
    said = json.loads(
        text.splitlines()[-1]
    )  # before it: what the VM says of files that died with their flash
    assert said["torn"] >= 25, "a life in which nothing was cut proves nothing"
    assert said["dropped"] > 0, "a third of the lives has too little room"


def _run(vm: MicroPython, body: str) -> list[object]:
    return run(vm, _OPEN + body, path=[VM], heap="8M")


def test_what_is_confirmed_goes_and_the_rest_stays(micropython: MicroPython) -> None:
    """A mark frees whole segments; what lies above it is offered again, oldest first, and once."""
    said = _run(
        micropython,
        """
formatted()
b = Backlog("/f/data", "0000000a", 100000, 1000)
fill(b, 60)
say(b.depth)
b.stored("0000000a", 37)
say([b.depth, b.lowest("0000000a"), rows(b)[0], len(rows(b))])
b.rewind()
say(len(rows(b, most=5)))
b.stored("0000000a", 10**9)
say([b.depth, b.lowest("0000000a"), b.boots()])
b.stored("ffffffff", 5)
b.close()
say(sorted(name for name in os.listdir("/f/data")))
""",
    )
    assert said == [60, [23, 38, ["0000000a", 38], 0], 23, [0, 61, []], ["account.json"]]


def test_boots_are_sent_in_their_order_and_live_records_only_once(micropython: MicroPython) -> None:
    """Older boots come first, each under its own name; numbers from `below` on are left to the live path."""
    said = _run(
        micropython,
        """
formatted()
for boot in ("0000000a", "0000000b"):
    b = Backlog("/f/data", boot, 100000, 700)
    fill(b, 20)
    b.close()
b = Backlog("/f/data", "0000000c", 100000, 700)
fill(b, 20)
found = rows(b, most=7, below=11)
say([found[0], found[19], found[20], found[-1], len(found), b.boots()])
""",
    )
    assert said == [
        [
            ["0000000a", 1],
            ["0000000a", 20],
            ["0000000b", 1],
            ["0000000c", 10],
            50,
            ["0000000a", "0000000b", "0000000c"],
        ]
    ]


def test_a_day_at_a_record_a_minute_fits_two_megabytes_and_drains(micropython: MicroPython) -> None:
    """1,440 records of the largest kind survive on a partition of 2 MB without a drop, and all of them drain."""
    said = _run(
        micropython,
        """
formatted(512)
b = Backlog("/f/data", "0000000a", 1500000)
m = {"property_with_long_name_%02d:channel" % n: 1234.567 for n in range(20)}
for minute in range(1440):
    b.append(1789000000000 + minute * 60000, minute * 60000, "ntp", m)
say([b.depth, b.dropped])
b = Backlog("/f/data", "0000000b", 1500000)
found = rows(b, 20, 20000)
say([len(found), found[0], found[-1]])
b.stored("0000000a", 1440)
say([b.depth, b.size])
""",
    )
    assert said == [[1440, 0], [1440, ["0000000a", 1], ["0000000a", 1440]], [0, 0]]


def test_the_oldest_goes_when_the_space_given_is_full_and_is_counted(micropython: MicroPython) -> None:
    """Beyond the cap the oldest segments go; the counter and `lo` say how many, also after a restart."""
    said = _run(
        micropython,
        """
formatted()
b = Backlog("/f/data", "0000000a", 3000, 1000)
fill(b, 100)
lowest = b.lowest("0000000a")
say([b.dropped == lowest - 1, b.dropped > 20, b.depth == 100 - b.dropped])
b.close()
b = Backlog("/f/data", "0000000b", 3000, 1000)
say([b.dropped == lowest - 1, b.lowest("0000000a") == lowest])
fill(b, 100)
say([b.boots(), b.lowest("0000000a"), b.dropped + b.depth])
b.stored("0000000a", 100)
say(b.boots())
""",
    )
    assert said == [[True, True, True], [True, True], [["0000000a", "0000000b"], 101, 200], ["0000000b"]]


_BOOTS = """
from qytet_node.records import row
from qytet_node.segments import Writer
def short_boots(folder, count):
    for number in range(count):
        writer = Writer(folder + "/%08x.seg" % (number + 1), "%08x" % number, 1)
        writer.append(row(1, None, 5000, "none", {"uptime": 5}))
        writer.close()
"""


def test_power_that_flickers_fills_no_memory(micropython: MicroPython) -> None:
    """Of boots that made a record each, the newest 200 are held; the oldest go, counted and told."""
    said = _run(
        micropython,
        _BOOTS
        + """
formatted(256)
os.mkdir("/f/data")
short_boots("/f/data", 230)
b = Backlog("/f/data", "ffffffff", 10**9)
fill(b, 3)
say([len(b.index), b.dropped + b.depth, [b.lowest(boot) for boot in b.gone]])
b.close()
b = Backlog("/f/data", "fffffffe", 10**9)
say([len(rows(b)), b.dropped])
""",
    )
    assert said == [[200, 233, [2] * 16], [202, 31]]


def test_what_is_found_leaves_memory_in_one_piece(micropython: MicroPython, tmp_path: Path) -> None:
    """With 200 segments waiting, a board's memory still has room for what a node needs in large pieces."""
    code = """
import gc, json, sys
short_boots(sys.argv[1], 200)
gc.collect()
from qytet_node.backlog import Backlog
b = Backlog(sys.argv[1], "ffffffff", 10**9)
print(json.dumps([b.depth, len(bytearray(100000))]))
"""
    assert run(micropython, _BOOTS + code, str(tmp_path)) == [[200, 100_000]]


def test_a_full_flash_drops_the_oldest_and_goes_on(micropython: MicroPython) -> None:
    """When the file system itself is full, the newest record is kept at the price of the oldest, and counted."""
    said = _run(
        micropython,
        """
formatted(20)
with open("/f/other", "wb") as file:
    file.write(bytes(36000))
b = Backlog("/f/data", "0000000a", 10**9, 2000)
fill(b, 600)
say([b.dropped > 0, b.dropped + b.depth, b.lowest("0000000a") == b.dropped + 1])
b.close()
b = Backlog("/f/data", "0000000b", 10**9, 2000)
found = rows(b)
say([found[-1], len(found) + b.dropped])
""",
    )
    assert said == [[True, 600, True], [["0000000a", 600], 600]]


def test_a_damaged_segment_costs_its_own_records_only(micropython: MicroPython) -> None:
    """Bytes that rotted end their segment: what is before and after is sent, what is lost is counted and told."""
    said = _run(
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
    said = _run(
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
    said = _run(
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
    said = _run(
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
    said = _run(
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
    said = _run(
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


def test_rows_are_what_the_contract_says(micropython: MicroPython) -> None:
    """`obs` and `hist` made from a row pass the contract's own checks, with numbers that a node can hold."""
    said = run(
        micropython,
        """
import json
from qytet_contract import strictjson, records
from qytet_node.records import hist, obs, row
one = row(7, None, 12, "none", {"pm2_5": 12.3, "co": float("nan"), "rssi": -71, "pump_running": True, "o3": 1e-9})
two = row(8, 1789000000000, 13, "ntp", {"vehicle_count:lane2": 4.0, "uptime": 3.0e9, "pm10": float("-inf")})
for value in (strictjson.loads(obs("9f3a01c2", one)), strictjson.loads(obs("9f3a01c2", two))):
    records.check_obs(value)
    print(json.dumps(value["m"]))
value = strictjson.loads(hist("9f3a01c2", 7, [one, two]))
assert records.check_hist(value) == []
records.check_hist(strictjson.loads(hist("9f3a01c2", 9, [])))
""",
    )
    assert said == [
        {"co": None, "o3": 1e-9, "pm2_5": 12.3, "pump_running": 1, "rssi": -71},
        {"pm10": None, "uptime": 3e9, "vehicle_count:lane2": 4},
    ]
