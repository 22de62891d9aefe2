"""`qytet deadletter`: list, show and replay what could not be stored."""

import base64
import json
from collections import Counter
from typing import Annotated, Any

import psycopg
import typer
from psycopg.rows import dict_row
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from qytet import settings
from qytet.db.where import session
from qytet.errors import NotFoundError
from qytet_ingest.deadletters import Choice, Replayer, count_open

__all__ = ["app"]

app = typer.Typer(help="What could not be stored: list, show, replay.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
Device = Annotated[str | None, typer.Option(help="Only letters that claim to come from this device.")]
Reason = Annotated[str | None, typer.Option(help="Only letters with this reason.")]

_SUMMARY = """
select reason, count(*) as letters, sum(seen)::bigint as seen, max(last_seen) as last_seen from qytet.dead_letter
where (%(replayed)s or replayed_at is null) and (%(device)s::text is null or device = %(device)s)
  and (%(reason)s::text is null or reason = %(reason)s)
group by reason order by letters desc
"""
_LIST = """
select dead_letter_id, first_seen, last_seen, seen, device, topic, reason, detail, octet_length(payload) as bytes,
       replayed_at, outcome
from qytet.dead_letter
where (%(replayed)s or replayed_at is null) and (%(device)s::text is null or device = %(device)s)
  and (%(reason)s::text is null or reason = %(reason)s)
order by dead_letter_id desc limit %(limit)s
"""
_SHOW = "select * from qytet.dead_letter where dead_letter_id = %(ident)s"


@app.command("list")
def list_letters(
    device: Device = None,
    reason: Reason = None,
    replayed: Annotated[bool, typer.Option(help="Show those that were replayed, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many, the newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """How many letters there are for which reason, and the newest ones."""
    chosen = {"device": device, "reason": reason, "replayed": replayed, "limit": limit}
    with session() as connection:
        summary = _rows(connection, _SUMMARY, chosen)
        letters = _rows(connection, _LIST, chosen)
    if as_json:
        typer.echo(json.dumps({"summary": summary, "letters": letters}, default=str, ensure_ascii=False))
        return
    console = Console()
    if not summary:
        console.print("No dead letters.")
        return
    console.print(_table("By reason", summary, ("reason", "letters", "seen", "last_seen")))
    console.print(
        _table("Newest", letters, ("dead_letter_id", "last_seen", "seen", "device", "reason", "detail"))
    )


@app.command()
def show(ident: Annotated[int, typer.Argument(help="Number of the letter.")], as_json: Json = False) -> None:
    """One letter whole, with its raw bytes."""
    with session() as connection:
        found = _rows(connection, _SHOW, {"ident": ident})
    if not found:
        raise NotFoundError(
            f"There is no dead letter {ident}.", do="`qytet deadletter list` shows which there are."
        )
    letter = found[0]
    raw = bytes(letter.pop("payload"))
    if as_json:
        typer.echo(json.dumps({**letter, "payload_base64": base64.b64encode(raw).decode()}, default=str))
        return
    for name, value in letter.items():
        typer.echo(f"{name:15} {'' if value is None else value}")
    typer.echo(f"{'payload':15} {len(raw)} bytes")
    typer.echo(raw.decode(errors="backslashreplace"))


@app.command()
def replay(
    ident: Annotated[int | None, typer.Argument(help="Only this letter.")] = None,
    device: Device = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Try letters again, after what stood in the way was mended (a device adopted, a datastream registered).

    Safe to repeat and to interrupt: each letter is a transaction of its own, and the ledger knows duplicates.
    """
    choice, known = Choice(ident, device, reason), settings.load()
    reasons: Counter[str] = Counter()
    stored = tried = 0
    with session() as connection:
        replayer = Replayer.alone(connection, known.ingest.ahead_ms)
        with _progress(as_json) as progress:
            task = progress.add_task("replaying", total=count_open(connection, choice))
            for outcome in replayer.replay(choice):
                tried += 1
                stored += outcome.stored
                reasons[outcome.reason or "stored"] += 1
                progress.advance(task)
    if as_json:
        typer.echo(json.dumps({"letters": tried, "readings_stored": stored, "outcomes": dict(reasons)}))
        return
    typer.echo(f"{tried} letters tried, {stored} readings stored.")
    for name, number in reasons.most_common():
        typer.echo(f"  {number:8} {name}")


def _progress(hidden: bool) -> Progress:
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=hidden)


def _rows(connection: psycopg.Connection[Any], query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), values).fetchall()


def _table(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, justify="right" if name in ("letters", "seen") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[name]) for name in columns))
    return table


def _cell(value: Any) -> str:
    if hasattr(value, "astimezone"):
        return f"{value:%Y-%m-%d %H:%M:%SZ}"
    return str(value)
