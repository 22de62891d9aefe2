"""The node's backlog in the VM, on littlefs on a flash whose power fails."""

import json
from pathlib import Path

import pytest

from tests.firmware.device import CONTRACT, DEVICE, run
from tests.firmware.keeping import on_littlefs
from tests.servers.micropython import MicroPython

VM = Path(__file__).parent / "vm"


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


def test_what_is_confirmed_goes_and_the_rest_stays(micropython: MicroPython) -> None:
    """A mark frees whole segments; what lies above it is offered again, oldest first, and once."""
    said = on_littlefs(
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
    said = on_littlefs(
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
    said = on_littlefs(
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
    said = on_littlefs(
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
    said = on_littlefs(
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
    said = on_littlefs(
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
