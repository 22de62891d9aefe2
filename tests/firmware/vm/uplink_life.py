"""For the VM: one life of a node's uplink on a folder, against a real broker; prints a JSON value a line.

The argument is a JSON file: port, user, password, folder, first (number of the first record), count, every_ms, cap,
`until`: `stored` waits for all marks before it ends, `told` for a command, `cut` ends in the middle of things,
`offline` never connects.
"""

import asyncio
import json
import random
import sys
import time

from qytet_node import uplink
from qytet_node.backlog import Backlog
from qytet_node.clock import Clock

with open(sys.argv[1]) as file:  # noqa: PTH123 - MicroPython has no pathlib
    given = json.load(file)
uplink.RETRY_FIRST_S = uplink.RETRY_LAST_S = 0.1
uplink.RESEND_FIRST_MS = uplink.RESEND_LAST_MS = given.get("resend_ms", 1500)
START = 1780000000000
told = asyncio.Event()


class Link:
    """A network that is always there."""

    async def up(self):
        pass

    async def open(self):
        return await asyncio.open_connection("127.0.0.1", given["port"])


async def known():
    pass


def say(value):
    print(json.dumps(value))


def command(ident, payload):
    say(["cmd", ident, payload.decode()])
    told.set()


async def life():
    random.seed(given["first"] + 1)
    boot = "%08x" % random.getrandbits(30)
    clock = Clock(time.ticks_ms, time.ticks_diff, START)
    backlog = Backlog(given["folder"], boot, given.get("cap", 1000000), 4096)
    about = {
        "city": "tirana",
        "device": given["user"],
        "user": given["user"],
        "password": given["password"],
        "fw": "0.1.0",
        "board": "test",
        "ds": lambda: '[["pm2_5","ug/m3"]]',
    }
    line = uplink.Uplink(about, Link(), clock, backlog, command, known, hist_every_ms=50)
    task = None if given["until"] == "offline" else asyncio.create_task(line.run())
    while task and given.get("burst") and not line.online:
        await asyncio.sleep_ms(10)
    for number in range(given["first"], given["first"] + given["count"]):
        seq, one = backlog.append(START + number * 1000, clock.up(), "ntp", {"pm2_5": number % 1000})
        line.offer(seq, one)
        if given.get("every_ms"):
            await asyncio.sleep_ms(given["every_ms"])
    began = clock.up()
    while given["until"] == "stored" and backlog.depth and clock.up() - began < 150000:
        await asyncio.sleep_ms(20)
    if given["until"] == "told":
        await asyncio.wait_for(told.wait(), 150)
    say(
        {
            "boot": boot,
            "depth": backlog.depth,
            "dropped": backlog.dropped,
            "lowest": backlog.lowest(boot),
            "connections": line.attempts,
            "overflowed": line.overflowed,
            "confirmed": line.confirmed,
            "why": line.why,
        }
    )
    if given["until"] == "stored":
        backlog.close()
    elif given["until"] == "cut":
        sys.exit(0)


asyncio.run(life())
