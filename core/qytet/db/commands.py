"""`qytet db`: migrate, look at and look after the database."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from qytet.db import maintain as care
from qytet.db import migrate as migrations
from qytet.db.where import session

__all__ = ["app"]

app = typer.Typer(help="Migrate, look at and look after the database.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


@app.command()
def migrate(as_json: Json = False) -> None:
    """Bring the database to the newest version; safe to repeat and to run from several programs at once."""
    with session() as connection:
        report = migrations.migrate(connection)
    if as_json:
        _print(tier=report.tier, applied=[*report.applied, *report.pending], applied_now=report.pending)
        return
    for name in report.pending:
        typer.echo(f"applied {name}")
    typer.echo(
        f"The database is up to date ({report.tier}, {len(report.applied) + len(report.pending)} migrations)."
    )


@app.command()
def status(as_json: Json = False) -> None:
    """Say what the database is, what is applied and pending, and how much it holds."""
    with session() as connection:
        report = migrations.status(connection)
        server = connection.info.parameter_status("server_version") or ""
        held = None if report.pending else care.contents(connection)
        keep = None if report.pending else care.get_retention(connection)
    if as_json:
        _print(
            server_version=server,
            **asdict(report),
            retention=keep or "forever",
            contents=asdict(held) if held else None,
        )
        return
    typer.echo(f"PostgreSQL {server}, tier {report.tier}: {len(report.applied)} migrations applied")
    for name in report.pending:
        typer.echo(f"pending: {name} (run `qytet db migrate`)")
    if held:
        typer.echo(f"readings are kept {f'for {keep}' if keep else 'for ever'}")
        for name, count in asdict(held).items():
            typer.echo(f"{name.replace('_', ' ')}: {count}")


@app.command()
def maintain(as_json: Json = False) -> None:
    """Drop readings beyond retention, mend the latest values, refresh statistics; run it daily."""
    with session() as connection:
        done = care.maintain(connection)
    if as_json:
        _print(**asdict(done))
        return
    typer.echo(f"rolled up {done.rolled} buckets and late days")
    typer.echo(f"dropped {done.dropped} {done.dropped_what} beyond retention")
    typer.echo(f"mended {done.latest_mended} latest values; statistics are fresh")


@app.command()
def retention(
    keep: Annotated[
        str, typer.Argument(metavar="[INTERVAL|forever]", help="Such as '2 years'. Nothing: show it.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show or set how long readings are kept. Rollups, ledger and dead letters stay."""
    how = ""
    with session() as connection:
        if keep:
            how = care.set_retention(connection, None if keep == "forever" else keep)
        now = care.get_retention(connection)
    if as_json:
        _print(retention=now or "forever", enforced=how)
        return
    typer.echo(f"Readings are kept {f'for {now}' if now else 'for ever'}.")
    if how:
        typer.echo(how)


def _print(**facts: Any) -> None:
    typer.echo(json.dumps(facts, ensure_ascii=False))
