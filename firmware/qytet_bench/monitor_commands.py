"""`qytet bench monitor`: the node's console, with what is wrong put into words."""

import contextlib
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from qytet.ctrl_c import CtrlC
from qytet.errors import QytetError
from qytet_bench import serialport
from qytet_bench import settings as bench_settings
from qytet_bench.console import Redactor
from qytet_bench.line import BAUDRATE, Line
from qytet_bench.monitor import Printer, follow
from qytet_bench.node import wifi_password
from qytet_bench.options import CONFIG, Config, PortOption
from qytet_bench.vault import Vault

__all__ = ["known_secrets", "monitor"]


def monitor(
    port: PortOption = "",
    config: Config = CONFIG,
    until: Annotated[str, typer.Option(help="End with exit code 0 once a line holds this text.")] = "",
    seconds: Annotated[
        float, typer.Option("--for", min=0, help="End after so many seconds; with --until: exit code 1.")
    ] = 0,
    baud: Annotated[
        int, typer.Option(min=9600, max=2000000, help="Bits a second of the console.")
    ] = BAUDRATE,
    reset: Annotated[bool, typer.Option("--reset", help="Press the board's reset first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show what a node says, with times, levels, and what to do about errors. Ctrl-C ends; the node goes on."""
    printer = Printer(Console(highlight=False), as_json=as_json)
    end = time.monotonic() + seconds if seconds else None
    found = False
    try:
        with CtrlC(gently=True) as asked, Line(serialport.choose(port), baud) as line:
            if reset:
                line.reset()
            heard = follow(line, Redactor(known_secrets(config)), until=end, is_cancelled=lambda: asked.seen)
            for said in heard:
                printer.show(said)
                if until and said.kind != "note" and until in said.text:
                    found = True
                    break
    except KeyboardInterrupt:
        pass  # pressed twice
    if until and not found:
        raise typer.Exit(1)


def known_secrets(config: Path) -> list[str]:
    """The secrets that this bench knows, so that none is ever shown; what it cannot read, it cannot know."""
    found: list[str] = []
    with contextlib.suppress(QytetError):
        common = bench_settings.load(config)
        with contextlib.suppress(QytetError):
            found.append(wifi_password(common))
        vault = Vault(common.path(common.vault))
        for device in vault.devices():
            with contextlib.suppress(QytetError):
                credential = vault.find(device)
                found += [credential.password] if credential else []
    return found
