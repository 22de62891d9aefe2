"""`qytet command`: ask something of a device, and see what it answered."""

import getpass
import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qytet.db import control
from qytet.db.where import session
from qytet.errors import InputError, QytetError

__all__ = ["app"]

app = typer.Typer(help="Ask something of a device, and see what it answered.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
Ident = Annotated[str, typer.Argument(metavar="ID", help="The command's id.")]
_COLUMNS = ("command_id", "device", "name", "state", "why", "asked_at", "expires_at", "sends")


@app.command()
def send(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Who is asked.")],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What is asked: rebirth, restart, set, update …")
    ],
    arg: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE, repeatable; VALUE as JSON, else text.")
    ] = None,
    expires: Annotated[
        int, typer.Option(min=1, help="Seconds after which it is no longer carried out.")
    ] = 3600,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for the answer.")] = 0,
    as_json: Json = False,
) -> None:
    """Ask a device; it carries a command out once, however often it is sent."""
    args = dict(_argument(text) for text in arg or [])
    with session() as connection:
        asked = control.ask(
            connection, device, name, args, expires_in=timedelta(seconds=expires), asked_by=getpass.getuser()
        )
        if wait:
            asked = control.await_answer(connection, asked["command_id"], wait)
    _tell(asked, as_json)
    if asked["state"] in ("failed", "expired"):
        raise QytetError(f"{device} did not carry out {name}: {asked['state']}.", why=asked["why"])


@app.command(name="list")
def list_(
    device: Annotated[str, typer.Option(help="Only this device's commands.")] = "",
    open_only: Annotated[bool, typer.Option("--open", help="Only what has no final answer.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """List commands, newest first."""
    with session() as connection:
        found = control.list_commands(connection, device=device, open_only=open_only, limit=limit)
    if as_json:
        _print(found)
        return
    table = Table(*_COLUMNS, box=None, header_style="bold")
    for row in found:
        table.add_row(*(escape(_text(row[column])) for column in _COLUMNS))
    Console(highlight=False).print(table)


@app.command()
def show(ident: Ident, as_json: Json = False) -> None:
    """Show one command and its answer."""
    with session() as connection:
        _tell(control.show(connection, ident), as_json)


@app.command()
def cancel(ident: Ident, as_json: Json = False) -> None:
    """Send a command no more."""
    with session() as connection:
        _tell(control.cancel(connection, ident), as_json)


def _argument(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InputError(f"{text!r} is no argument.", do="Write it as KEY=VALUE, such as level=50.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _tell(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print(row)
        return
    for field, value in row.items():
        if value not in (None, "", {}):
            typer.echo(f"{field}: {_text(value)}")


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def _print(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, default=_text))
