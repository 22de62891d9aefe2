"""`qytet device`: register, list, show, adopt and retire devices."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qytet.db import devices
from qytet.db.registry import parse
from qytet.db.registry import register as write
from qytet.db.where import session
from qytet.errors import InputError

__all__ = ["app"]

app = typer.Typer(help="Register, list, show, adopt and retire devices.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The device's name.")]


@app.command()
def register(
    file: Annotated[
        str, typer.Argument(metavar="FILE.json|-", help="The description; - reads standard input.")
    ],
    as_json: Json = False,
) -> None:
    """Register cities, sites, devices and datastreams from a description; safe to repeat."""
    description = parse(_read(file))
    with session() as connection:
        counts = write(connection, description)
    if as_json:
        _print(counts)
        return
    typer.echo("Registered " + ", ".join(f"{count} {what}" for what, count in counts.items()) + ".")


@app.command(name="list")
def list_(
    city: Annotated[str, typer.Option(help="Only this city's devices.")] = "", as_json: Json = False
) -> None:
    """List the devices with their state."""
    with session() as connection:
        found = devices.list_devices(connection, city)
    if as_json:
        _print(found)
        return
    _table(found, ("device", "city", "site", "profile", "datastreams", "state", "seen_at", "valid_to"))


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show one device: its datastreams with newest values, its delivery by boot, and what waits in dead letters."""
    with session() as connection:
        found = devices.show(connection, name)
    if as_json:
        _print(found)
        return
    for field, value in found.items():
        if not isinstance(value, list) and value is not None:
            typer.echo(f"{field}: {_text(value)}")
    _table(found["datastreams"], ("key", "value", "ucum", "quality", "phenomenon_time", "valid_to"))
    _table(
        found["delivery"], ("boot", "last_seq", "stored_mark", "received", "rejected", "dropped", "missing")
    )
    _table(found["open_dead_letters"], ("reason", "messages", "seen", "last_seen"))


@app.command()
def adopt(
    name: Name,
    city: Annotated[str, typer.Option(help="The city that it stands in.")],
    site: Annotated[str, typer.Option(help="The site that it stands at; both must be registered.")],
    profile: Annotated[str, typer.Option(help="What kind of device it is, such as air.")],
    datastream: Annotated[
        list[str] | None,
        typer.Option(help="property or property:channel, repeatable. None: learnt from its dead letters."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Register a device whose messages went to the dead letters as unknown_device."""
    with session() as connection:
        done = devices.adopt(
            connection, name, city=city, site=site, profile=profile, datastreams=datastream or []
        )
    hint = devices.replay_hint(name)
    if as_json:
        _print({**done, "replay": hint})
        return
    typer.echo(f"Registered {name} with {', '.join(done['datastreams'])}.")
    typer.echo(f"{done['waiting']} messages wait in the dead letters; replay them: {hint}")


@app.command()
def retire(
    name: Name,
    at: Annotated[str, typer.Option(help="When its service ended, as ISO 8601 with zone. None: now.")] = "",
    as_json: Json = False,
) -> None:
    """End a device's service; its readings stay, later ones are refused."""
    when = _instant(at) if at else None
    with session() as connection:
        end = devices.retire(connection, name, when)
    if as_json:
        _print({"device": name, "valid_to": end})
        return
    typer.echo(f"{name} is retired as of {_text(end)}; its readings stay.")


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"The file {file} cannot be read.", why=str(error)) from error


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is no instant.", why=str(error), do="Such as 2026-03-01T12:00Z."
        ) from error
    if found.tzinfo is None:
        raise InputError(f"{text!r} has no zone.", do=f"Say {text}Z for UTC, or {text}+01:00.")
    return found


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return "" if value is None else str(value)


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if not rows:
        return
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*(escape(_text(row[column])) for column in columns))  # [ppm] is a unit, not a style
    Console(highlight=False).print(table)


def _print(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, default=_text))
