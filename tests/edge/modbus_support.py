"""What the Modbus tests share: a line with units on it, sources that poll quickly, and truths to compare with."""

import asyncio
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

from qytet_edge.inbox import modbus
from qytet_edge.inbox.kinds import Context
from qytet_edge.inbox.modbus.source import ModbusSource
from qytet_simulators.instruments.modbus_unit import ModbusUnit, put_float
from tests.edge.quick_time import quickly

FAST = {"timeout_s": 0.1, "retries": 1, "rest_s": 0.4}
PATIENT = {"timeout_s": 3.0}
"""Where nothing is lost on purpose."""
GRACE_S = 0.04
BAUD = 115200
VOLTS = 231.4
WATTS = 1520.5
KWH = 8123.75
MAP = """
title = "Test instrument"
max_count = 8
[[field]]
property = "grid_phase_voltage"
function = 4
address = 0
type = "f32"
[[field]]
property = "grid_active_power"
function = 4
address = 2
type = "f32"
unit = "W"
"""


def context(folder: Path) -> Context:
    return Context(city="durres", gateway="gw-1", folder=folder, data_dir=folder)


def meter(address: int, volts: float = VOLTS, watts: float = WATTS) -> ModbusUnit:
    """A unit that the map above reads."""
    registers: dict[int, Any] = {}
    put_float(registers, {0: volts, 2: watts})
    return ModbusUnit(address, {4: registers})


def write_map(folder: Path) -> None:
    (folder / "meter.toml").write_text(MAP, encoding="utf-8")


def unit(address: int, **more: Any) -> dict[str, Any]:
    """A `[[source.unit]]` table."""
    return {"address": address, "map": "meter.toml", "device": f"meter-{address}", "every_s": 0.05, **more}


def rtu(folder: Path, units: Iterable[dict[str, Any]], **more: Any) -> modbus.RtuConfig:
    write_map(folder)
    table = {
        "kind": "modbus-rtu",
        "name": "line",
        "port": str(folder / "port"),
        "baud": BAUD,
        "unit": list(units),
    }
    return modbus.RtuConfig.model_validate({**table, **FAST, **more})


def tcp(folder: Path, port: int, units: Iterable[dict[str, Any]], **more: Any) -> modbus.TcpConfig:
    write_map(folder)
    table = {"kind": "modbus-tcp", "name": "server", "host": "127.0.0.1", "port": port, "unit": list(units)}
    return modbus.TcpConfig.model_validate({**table, **FAST, **more})


def source(config: modbus.RtuConfig | modbus.TcpConfig, folder: Path) -> ModbusSource:
    return modbus.create(config, context(folder))


def play(work: Coroutine[None, None, None]) -> None:
    """Run this in a time of its own, in which no time-out passes because the machine stands still.

    No task is left but those that end by themselves: nothing that was opened still runs.
    """

    async def whole() -> None:
        await work
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _ended, left = await asyncio.wait(others, timeout=5)
            assert not left, left

    quickly(whole(), grace_s=GRACE_S)
