"""Runs a driver in the VM and gives back what each step said."""

from pathlib import Path
from typing import Any

from tests.firmware.device import run
from tests.servers.micropython import MicroPython

VM = Path(__file__).parent / "vm"
_IMPORTS = """
import asyncio
from fakes import I2C, Uart, run
from qytet_node.drivers.serial import SerialPort
asyncio.sleep_ms = lambda ms, true=asyncio.sleep_ms: true(0)
"""
"""A driver's pauses take no time here: nothing but what it counts itself ends its waits."""

EDGES = """
import json, os
from pins import Clock, Pin, press
from qytet_node.drivers.edges import Edges, Hardware
from qytet_node.drivers.total import Total
from qytet_node.drivers.pulse import Pulse
clock, pin = Clock(), Pin()
"""
"""A pin that is switched by hand, on a clock of its own, and what counts its edges."""


def drive(vm: MicroPython, setup: str, *steps: str, path: tuple[Path, ...] = ()) -> list[Any]:
    """Each step is an expression that gives a coroutine; a SensorError becomes ["error", code]."""
    lines = ", ".join(f"lambda: {step}" for step in steps)
    return run(vm, f"{_IMPORTS}{setup}\nrun({lines})", path=[VM, *path], heap="256wK")


def drive_each(vm: MicroPython, setups: list[str], step: str) -> list[Any]:
    """The same step after each setup, all in one VM (starting one costs more than what is tested)."""
    code = f"""{_IMPORTS}
begin = dict(globals())
for setup in {setups!r}:
    names = dict(begin)
    exec(setup, names)
    run(lambda: eval({step!r}, names))
"""
    return run(vm, code, path=[VM], heap="512wK")


def rounded(found: Any, digits: int = 4) -> Any:
    """Numbers of a reading, rounded."""
    if not isinstance(found, dict):
        return found
    return {key: round(value, digits) if value is not None else None for key, value in found.items()}
