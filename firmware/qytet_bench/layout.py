"""Where everything lies on a new board: the program in slot a, what chooses the slot beside it, identity in /etc."""

import json
from collections.abc import Mapping

from qytet.errors import InputError
from qytet_bench.filesystem import BLOCK
from qytet_bench.program import Program

__all__ = ["SLOT", "board_files", "check_room"]

SLOT = {"run": "a", "trial": None, "left": 0}
"""`/slot.json` of a board that was flashed and has had no update yet."""
_SPARE = 16 * BLOCK
"""For /etc, the folders, and what littlefs writes anew before it lets go of the old."""


def board_files(program: Program, node_files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Absolute path to content, of all that a blank board's file system must hold."""
    made = {f"/a/{name}": content for name, content in program.slot.items()}
    made |= {f"/{name}": content for name, content in program.root.items()}
    made["/slot.json"] = json.dumps(SLOT, separators=(",", ":")).encode()
    return made | dict(node_files)


def check_room(size: int, program: Program, keep_bytes: int) -> None:
    """Whether both slots and the readings that are kept for the city fit into a file system. Raises InputError."""
    blocks = sum(-(-len(content) // BLOCK) for content in program.slot.values())
    folders = len({name.rpartition("/")[0] for name in program.slot}) + 1
    needed = 2 * (blocks + 2 * folders) * BLOCK + keep_bytes + _SPARE
    if needed > size:
        most = size - needed + keep_bytes
        raise InputError(
            f"A file system of {size} bytes is too small: {needed} are needed.",
            why=f"It holds the program twice, for updates, and keep_bytes = {keep_bytes} of readings.",
            do=f"Set keep_bytes in bench.toml to {most} at most."
            if most > 0
            else "Use a board with more flash.",
        )
