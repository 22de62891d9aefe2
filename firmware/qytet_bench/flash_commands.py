"""`qytet bench flash` and `ports`: a blank board becomes a node; which ports there are."""

import json
from typing import Annotated

import typer
from rich.console import Console

from qytet_bench import flash as flashing
from qytet_bench import serialport
from qytet_bench import settings as bench_settings
from qytet_bench.node import node
from qytet_bench.options import (
    CONFIG,
    INTERRUPTED,
    Baud,
    Board,
    City,
    Config,
    Device,
    Json,
    NoReset,
    PasswordFile,
    PortOption,
    Profile,
    Replace,
    Site,
)
from qytet_bench.progress import Say, to_terminal
from qytet_bench.vault import password_in

__all__ = ["flash", "ports"]


def flash(
    device: Device,
    config: Config = CONFIG,
    profile: Profile = "",
    board: Board = "",
    site: Site = "",
    city: City = "",
    port: PortOption = "",
    baud: Baud = 460800,
    password_file: PasswordFile = None,
    replace: Replace = False,
    no_reset: NoReset = False,
    wait: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds to wait for a board to be plugged in, if none is.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Make a board a node: MicroPython and one file system with program, identity, network, trust, credential."""
    common = bench_settings.load(config)
    wanted = node(common, device, city=city, site=site, profile=profile, board=board)
    issued = password_in(password_file) if password_file else ""
    job = flashing.prepare(wanted, common, password=issued)
    console = Console(stderr=True)
    try:
        with to_terminal(console) as shown:
            where = _port(port, wait, shown.say)
            done = flashing.flash(job, where, shown, baud=baud, replace=replace, resets=not no_reset)
    except flashing.HalfWritten:
        console.print(
            "Interrupted: the board is half written and will not start. Run the same command again; "
            "its credential is kept.",
            soft_wrap=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        typer.echo(json.dumps(done.document()))
        return
    again = f" after {done.attempts} attempts" if done.attempts > 1 else ""
    typer.echo(f"{done.device} is on the board {done.mac} ({done.seconds:g} s{again}). {_next(no_reset)}")


def _port(wanted: str, wait_s: float, say: Say) -> str:
    if not wanted and wait_s and not serialport.ports():
        say("Plug the board in.")
        serialport.Watcher(()).next(wait_s)
    return serialport.choose(wanted)


def _next(no_reset: bool) -> str:
    return "Press RESET (EN) to start it." if no_reset else "It starts now."


def ports(
    wait: Annotated[
        float, typer.Option(min=0, max=600, help="Wait up to so many seconds for a board to be plugged in.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """List the ports that a board may hang on, and what to do if there is none."""
    there = serialport.ports()
    if wait and (new := serialport.Watcher({port.path for port in there}).next(wait)):
        there = [new]
    elif wait:
        there = []
    if as_json:
        found = [{"port": port.path, "text": port.text, "bridge": port.bridge} for port in there]
        typer.echo(json.dumps(found))
        return
    for port in there:
        users = serialport.holders(port.path)
        busy = f"  open in {', '.join(users)}" if users else ""
        typer.echo(f"{port.path}  {port.bridge or '-'}  {port.text}{busy}")
    if not there:
        _nothing(waited=wait > 0)


def _nothing(*, waited: bool) -> None:
    typer.echo("No port appeared." if waited else "There is no serial port on USB.")
    typer.echo(
        "If a board is plugged in: many cables only charge, try another one and another socket; "
        "on Windows and macOS install the driver of its USB chip (CP210x: Silicon Labs, CH340: WCH)."
    )
