"""For the VM: a node's life on fakes of a board, with every driver of its profile, until its memory is steady.

The argument is a JSON file: root, etc, flash (a file to make), dump (where heaps go), records (how many must be
confirmed), looks (how often to look, 20 ms apart). Sensors give numbers without a chip; all else is the node's own.
Prints two heaps (of the fakes alone, and of all) and a JSON value. What the fakes need is in memory before the node
comes, and nothing that the node needs: so the difference is the node.
"""

import gc
import json
import sys

import flashfile
import heapdump
import machine  # noqa: F401 - on a board it is no part of the heap
import network  # noqa: F401
import onewire  # noqa: F401
import vfs

_BLOCKS = 512
held, looks = [], [0] * 100
"""Drivers, and looks at a node that has settled (for two reports, which are a second apart here): made before the node
comes, so that they are no part of it."""


class Chip:
    """Instead of a chip that answers: a number for each key."""

    def __init__(self, keys):
        self._keys = keys

    async def start(self):
        pass

    async def read(self):
        return {key: place / 7 for place, key in enumerate(self._keys)}

    stop = start


def quicken(sensor):
    """Give a sensor numbers, now and every half second; the driver that it has stays in memory."""
    held.append(sensor.driver)
    sensor.driver, sensor.channel = Chip(sensor.window.kinds), None
    sensor.warm_up, sensor.every = 0, 500


async def live(node, given):
    """Run the node until marks have covered the records asked for; tells the most memory in use on the way."""
    import asyncio

    running = asyncio.create_task(node.run())
    most = count = 0
    for _ in range(given["looks"]):
        await asyncio.sleep_ms(20)
        gc.collect()
        seen = gc.mem_alloc()
        most = max(most, seen)
        if node.uplink.confirmed >= given["records"] and all(one.readings for one in node.sampler.sensors):
            looks[count] = seen
            count += 1
            if count == len(looks):
                break
    now = gc.mem_alloc()
    heapdump.write(given["dump"] + "-after")
    running.cancel()
    return {
        "now": now,
        "most": most,
        "looks": looks,
        "settled": count == len(looks),
        "why": node.uplink.why,
        "troubles": [sensor.last_error for sensor in node.sampler.sensors],
    }


def main():
    """Read the settings, tell the heap, be a node."""
    with open(sys.argv[1]) as file:
        given = json.load(file)
    flash = flashfile.Flash(given["flash"], _BLOCKS)
    heapdump.write(given["dump"] + "-before")
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/data")
    import asyncio

    from qytet_node.app import App, lent

    node = App(lent("hardware").Hardware, given["root"], given["etc"], "/data")
    for sensor in node.sampler.sensors:
        quicken(sensor)
    print(json.dumps(asyncio.run(live(node, given))))


main()
