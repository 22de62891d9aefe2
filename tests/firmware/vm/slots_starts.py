"""For the VM: one start of main.py on a board that a test has spoilt; prints a line with @ and JSON for each.

The argument is a JSON file: world (see `ota_world.World`), boards: `a`, `b` (versions in the slots), `state` (text of
/slot.json, null for none), `remove` and `files`, `folders`, `types_at` (run, pause: where somebody presses Ctrl-C).
"""
# MicroPython has no pathlib.
# ruff: noqa: PTH102, PTH107, PTH123

import json
import os
import sys

import ota_world

with open(sys.argv[1]) as file:
    given = json.load(file)
world = ota_world.make(given["world"])


def started(board):
    """What one start did."""
    world.again()
    for folders in (["/b", "/b/qytet_node", "/b/qytet_contract"], board.get("folders", [])):
        for folder in folders:
            os.mkdir(folder)
    world.fill("/a", board.get("a", "0.1.0"))
    if "b" in board:
        world.fill("/b", board["b"])
    if board.get("state") is not None:
        world.put("/slot.json", board["state"].encode())
    elif "state" in board:
        os.remove("/slot.json")
    for path, text in board.get("files", {}).items():
        world.put(path, text.encode())
    for path in board.get("remove", ()):
        os.remove(path)
    world.types_at, world.ends_anyway = board.get("types_at", ""), True
    ended = world.boot()
    assert not world.broken, world.broken
    try:
        state = world.state()
    except (OSError, ValueError):
        state = None
    return {"ended": ended, "lives": world.lives, "state": state, "watchdogs": world.watchdogs}


for board in given["boards"]:
    print("@" + json.dumps(started(board)))
