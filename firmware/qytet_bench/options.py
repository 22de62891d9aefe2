"""The options that several commands of the bench share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "CONFIG",
    "INTERRUPTED",
    "Baud",
    "Board",
    "City",
    "Config",
    "Device",
    "Json",
    "NoReset",
    "PasswordFile",
    "PortOption",
    "Profile",
    "Replace",
    "Site",
]

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the signal's number, as shells have it."""
CONFIG = Path("bench.toml")
Config = Annotated[Path, typer.Option(help="What the city's nodes have in common.")]
Device = Annotated[str, typer.Option(help="The device's name.")]
Profile = Annotated[str, typer.Option(help="What it measures, such as air. Empty: as bench.toml says.")]
Board = Annotated[str, typer.Option(help="The board, such as esp32-devkitc. Empty: as bench.toml says.")]
Site = Annotated[str, typer.Option(help="Where it will stand. Empty: as bench.toml says.")]
City = Annotated[str, typer.Option(help="The city. Empty: as bench.toml says.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="A file with the password that the broker's operator issued. None: the vault's own."),
]
PortOption = Annotated[
    str,
    typer.Option("--port", help="Such as /dev/ttyUSB0, COM3, rfc2217://host:port. Empty: the only board's."),
]
Baud = Annotated[int, typer.Option(min=9600, max=2000000, help="Bits a second while writing.")]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="The device moves to this board, or this board becomes another device."),
]
NoReset = Annotated[
    bool,
    typer.Option(
        "--no-reset", help="The board is in its loader already: you pressed RESET while you held BOOT."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
