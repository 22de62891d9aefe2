"""`qytet simulate instruments`: a bench for the gateway, on ports that are files."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated

import typer

from qytet_simulators.instruments.rack import CONFIG, DEVICES, Rack
from qytet_simulators.known import known_url

__all__ = ["instruments"]


def instruments(
    folder: Annotated[Path, typer.Argument(help="Where the ports and the gateway's configuration are made.")],
    shaky: Annotated[bool, typer.Option("--shaky", help="Spoil frames, and be silent now and then.")] = False,
    duration: Annotated[
        float | None, typer.Option(min=0, help="Seconds to run; default: until Ctrl-C.")
    ] = None,
    broker: Annotated[
        str,
        typer.Option(help="mqtt://user:password@host:port; default: [broker] url, else the embedded one."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """An energy meter, a dust and a CO2 sensor on serial ports, and the configuration of a gateway that reads them."""
    rack = Rack(folder, shaky=shaky)
    rack.prepare(known_url(broker))
    asyncio.run(_show(rack, duration, as_json=as_json))


async def _show(rack: Rack, duration: float | None, *, as_json: bool) -> None:
    """Whoever reads where the instruments are finds them there, and may end them."""
    stop, there = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    running, begun = asyncio.create_task(rack.run(stop, there)), asyncio.create_task(there.wait())
    await asyncio.wait((running, begun), return_when=asyncio.FIRST_COMPLETED)
    begun.cancel()
    if there.is_set() and not stop.is_set():
        _tell(rack, as_json=as_json)
    if duration is not None:
        loop.call_later(duration, stop.set)
    await running


def _tell(rack: Rack, *, as_json: bool) -> None:
    config, devices = rack.folder / CONFIG, rack.folder / DEVICES
    if as_json:
        typer.echo(json.dumps({"config": str(config), "devices": str(devices)}))
        return
    typer.echo(f"The instruments are at {rack.folder}. In another terminal:")
    typer.echo(f"  qytet device register {devices}")
    typer.echo(f"  qytet edge run --config {config}")
    typer.echo("Ctrl-C takes them away.")
