"""Runs the node's backlog in the VM, on littlefs."""

from typing import Any

from tests.firmware.device import run
from tests.firmware.driving import VM
from tests.servers.micropython import MicroPython

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


def on_littlefs(vm: MicroPython, body: str) -> list[Any]:
    """What the body says: it has `formatted`, `fill`, `rows` and `say`."""
    return run(vm, _OPEN + body, path=[VM], heap="8M")
