"""For the VM: one order after the other, each on a new board; prints a line with @ and JSON for each.

The argument is a JSON file: world (see `ota_world.World`), seed, boards: `orders` together, `then` one after the
other, `cuts` (flash operations until the power fails; `late`: only of the last order), `files` that differ, `muted`
settings with which nothing comes.
"""
# MicroPython has no pathlib.
# ruff: noqa: PTH123, PTH208

import json
import os
import random
import sys

import ota_world

with open(sys.argv[1]) as file:
    given = json.load(file)
world = ota_world.make(given["world"])
random.seed(given.get("seed", 1))


def tried(board):
    """What became of it."""
    world.again()
    for path, text in board.get("files", {}).items():
        world.put(path, text.encode())
    world.muted = board.get("muted", ())
    began = world.flash.operations
    cuts, rounds = board.get("cuts", ()), [board.get("orders", ())] + [[one] for one in board.get("then", ())]
    for orders in rounds:
        for order in orders:
            world.order(*order)
        world.settled = False
        if orders:
            late = board.get("late", False)
            world.until_settled(cuts if not late or orders is rounds[-1] else ())
            cuts = cuts if late else ()
    version, slot, named = world.lives[-1]
    with open("/etc/node.json") as file:
        settings = json.load(file)
    return {
        "answers": world.answers,
        "runs": version,
        "slot": slot,
        "named": named,
        "lives": [life[0] for life in world.lives],
        "state": world.state(),
        "ssid": settings["wifi"]["ssid"],
        "settings": settings,
        "tried": "node.trial.json" in os.listdir("/etc"),
        "free": " ".join(_names("/" + ("b" if slot == "a" else "a"))),
        "operations": world.flash.operations - began,
        "watchdogs": world.watchdogs,
    }


def _names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


for board in given["boards"]:
    print("@" + json.dumps(tried(board)))
