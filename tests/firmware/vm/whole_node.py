"""For the VM: the whole application on fakes of a board, against a real broker; prints a JSON value a line.

The argument is a JSON file: root, etc, data, cause (of the reset), rtc_ms (what the chip's clock says). It ends when
the chip is reset, or with the command whose id is `end`.
"""

import asyncio
import json
import sys

from board import Hardware
from qytet_node import app
from radio import Station

with open(sys.argv[1]) as file:  # noqa: PTH123 - MicroPython has no pathlib
    given = json.load(file)

try:
    from qytet_node import uplink

    uplink.RETRY_FIRST_S = uplink.RETRY_LAST_S = 0.2
except ImportError:
    pass  # the program of a board is joined, and keeps its own pace
app.HEALTH_FIRST_S = 1
app.FLOOR_MS = 1700000000000


def say(value):
    print(json.dumps(value))


def make(board):
    hardware = Hardware(board, Station([1001, 1010]), given["cause"])
    hardware.clock_ms = given.get("rtc_ms", 0)
    return hardware


async def life():
    lines = []
    node = app.App(make, given["root"], given["etc"], given["data"], lines.append)
    running = asyncio.create_task(node.run())
    hardware = node.hardware
    while not hardware.resets and not any("command end: done" in line for line in lines):
        await asyncio.sleep_ms(50)
    while node.uplink.speaks_up:  # who runs this ends it, should the broker never take the answer
        await asyncio.sleep_ms(20)
    running.cancel()
    say(
        {
            "boot": node.backlog.boot,
            "lines": lines,
            "resets": hardware.resets,
            "fed": hardware.dog.fed,
            "rtc_set": hardware.clock_ms,
            "made": node.backlog.seq,
            "duty": {name: pin.duty for name, pin in hardware.pins.items()},
        }
    )


asyncio.run(life())
