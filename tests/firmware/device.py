"""Runs the node's own code in a real MicroPython VM at the ESP32's heap size."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.servers.micropython import MicroPython

ROOT = Path(__file__).parents[2]
DEVICE = ROOT / "firmware" / "device"
CONTRACT = ROOT / "contract"
HEAP = "110wK"
"""What an ESP32 leaves a program; `w` counts in the VM's own words."""


def run(
    vm: MicroPython,
    code: str,
    *arguments: str,
    path: Sequence[Path] = (),
    heap: str = HEAP,
    timeout: float = 180,
) -> list[Any]:
    """What the code printed, a JSON value a line; fails with the VM's own words if it ended badly."""
    done = vm.run(code, *arguments, path=[*path, DEVICE, CONTRACT], heap=heap, timeout=timeout)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{said}\n{done.stderr.decode(errors='replace')}"
    return [json.loads(line) for line in said.splitlines() if line]
