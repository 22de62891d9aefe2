"""How long a node's flash lasts: erases of its own backlog on littlefs, counted in the VM and scaled up."""

import asyncio
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from qytet.errors import QytetError
from qytet_bench.budget import micropython
from qytet_bench.program import Program

__all__ = ["BLOCKS", "Wear", "measure"]

BLOCKS = 512
"""Of 4,096 bytes: the file system of a board with 4 MB."""
_FREE = 0.5
"""Part of the blocks that littlefs can wear: the others hold the program, which lies still."""
_ENDURANCE = 100_000
"""Erases that a block of a serial NOR flash endures (such as Winbond W25Q32JV, data sheet, features)."""
_RECORDS = 400
_A_DAY = 24 * 60
_KEYS = tuple(f"electrode_voltage_we:c{number}" for number in range(17))
"""As many values as the air station reports."""


@dataclass(frozen=True, slots=True)
class Wear:
    """At one record a minute, and its mark: erases of blocks a day, bytes written a day, years until they wear out."""

    erases: float
    written: float
    years: float


async def measure(vm: Path, program: Program) -> Wear:
    """Keep some hundred records and count. Raises QytetError if the VM does not."""
    with tempfile.TemporaryDirectory(prefix="qytet-budget-") as name:
        folder = Path(name)
        await asyncio.to_thread(micropython.install, program, folder / "a")
        given = {"flash": str(folder / "flash"), "blocks": BLOCKS, "records": _RECORDS, "keys": _KEYS}
        settings = folder / "wear.json"
        settings.write_text(json.dumps(given))
        said = await micropython.run(vm, "wear.py", settings, folder)
    told = micropython.told(said)
    if "erases" not in told:
        raise QytetError("The flash's erases could not be counted.", why=said[-800:])
    a_day = told["erases"] / _RECORDS * _A_DAY
    years = BLOCKS * _FREE * _ENDURANCE / a_day / 365
    return Wear(a_day, told["written"] / _RECORDS * _A_DAY, years)
