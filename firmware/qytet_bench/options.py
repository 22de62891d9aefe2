"""The options that several commands of the bench share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Board", "City", "Config", "Device", "Json", "PasswordFile", "Profile", "Site"]

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
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
