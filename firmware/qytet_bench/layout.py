"""Where everything lies on a new board: the program in slot a, what chooses the slot beside it, identity in /etc."""

import json
from collections.abc import Mapping

from qytet_bench.program import Program

__all__ = ["SLOT", "board_files"]

SLOT = {"run": "a", "trial": None, "left": 0}
"""`/slot.json` of a board that was flashed and has had no update yet."""


def board_files(program: Program, node_files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Absolute path to content, of all that a blank board's file system must hold."""
    made = {f"/a/{name}": content for name, content in program.slot.items()}
    made |= {f"/{name}": content for name, content in program.root.items()}
    made["/slot.json"] = json.dumps(SLOT, separators=(",", ":")).encode()
    return made | dict(node_files)
