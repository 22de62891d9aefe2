"""How the node knows the time: its clock and its time client, in the VM."""

import json
import struct

import pytest

from tests.firmware.device import run
from tests.servers.micropython import MicroPython

_UNIX = 1_789_000_000
_CLOCK = """
import json
from qytet_node.clock import Clock
ticks = [0]
def diff(a, b):
    return ((a - b + (1 << 29)) % (1 << 30)) - (1 << 29)
clock = Clock(lambda: ticks[0] % (1 << 30), diff, 1780000000000)
def at(ms):
    ticks[0] = ms
    return clock
def say(value):
    print(json.dumps(value))
"""


def test_before_the_first_answer_there_is_no_time(micropython: MicroPython) -> None:
    """A record made before the clock was set has no time, and afterwards its uptime gives it one."""
    said = run(
        micropython,
        _CLOCK
        + """
say(at(500).now())
say(at(1000).set(1789000001000, "ntp"))
say(clock.now())
say(clock.at(500))
""",
    )
    assert said == [[None, "none"], True, [1789000001000, "ntp"], [1789000000500, "ntp"]]


def test_uptime_outlives_the_wrap_of_ticks(micropython: MicroPython) -> None:
    """Over thirty days, asked every three days, uptime is exact although ticks wrap every twelve."""
    said = run(
        micropython, _CLOCK + "for day in range(3, 31, 3):\n    at(day * 86400000).up()\nsay(clock.up())"
    )
    assert said == [30 * 86_400_000]


def test_a_step_reorders_nothing_and_is_counted(micropython: MicroPython) -> None:
    """A step changes what instants are called, not their order by uptime; noise within the spread changes nothing."""
    said = run(
        micropython,
        _CLOCK
        + """
at(1000).set(1789000001000, "ntp")
at(2000).set(1789000002030, "ntp", 50)
say([clock.now()[0], clock.steps])
at(3000).set(1789003603000, "ntp", 50)
say([clock.now()[0], clock.steps, clock.up()])
at(1803000).set(1789003603000 + 1800000 + 90, "ntp", 50)
say([clock.steps, round(clock.drift_ppm)])
""",
    )
    assert said == [[1789000002000, 0], [1789003603000, 1, 3000], [1, 22]]


@pytest.mark.parametrize("wrong", [0, 946_684_800_000, 1_779_999_999_999, 4_102_444_800_000])
def test_no_time_before_the_program_was_made_is_believed(micropython: MicroPython, wrong: int) -> None:
    """1970, 2000, the day before the build and the year 2100 are refused and counted; the clock stays as it was."""
    said = run(micropython, _CLOCK + f"say([at(5).set({wrong}, 'ntp'), clock.refused, clock.now()[0]])")
    assert said == [[False, 1, None]]


def _packet(
    seconds: int, fraction: int = 0, first: int = 0x24, stratum: int = 2, echo: bytes = b"12345678"
) -> bytes:
    return (
        bytes([first, stratum]) + bytes(22) + echo + bytes(8) + struct.pack(">II", seconds % 2**32, fraction)
    )


_NTP = _UNIX + 2_208_988_800


@pytest.mark.parametrize(
    ("packet", "wanted"),
    [
        (_packet(_NTP, 1 << 31), _UNIX * 1000 + 500),
        (_packet(2**32 + 5), (2**32 + 5 - 2_208_988_800) * 1000),  # after 2036-02-07
        (_packet(_NTP, echo=b"87654321"), None),
        (_packet(_NTP, first=0xE4), None),  # its clock is not synchronised
        (_packet(_NTP, first=0x23), None),  # a question
        (_packet(_NTP, stratum=0), None),  # a kiss of death
        (_packet(_NTP, stratum=16), None),
        (_packet(0), None),
        (_packet(_NTP)[:47], None),
    ],
    ids=["time", "2036", "forged", "unsynchronised", "question", "kiss", "stratum", "zero", "short"],
)
def test_only_an_honest_answer_is_a_time(micropython: MicroPython, packet: bytes, wanted: int | None) -> None:
    """An answer that is forged, unsynchronised or cut short is no time; the next era of NTP is."""
    code = f"""
import json
from qytet_node.sntp import answer, question
assert len(question(b"12345678")) == 48
print(json.dumps(answer({packet!r}, b"12345678")))
"""
    assert run(micropython, code) == [json.loads(json.dumps(wanted))]
