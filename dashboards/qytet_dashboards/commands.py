"""`qytet dashboards`: make the files that Grafana reads, and bring them to a Grafana that runs."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from qytet_dashboards import provision
from qytet_dashboards.alerts import RUNBOOKS
from qytet_dashboards.cities import cities
from qytet_dashboards.grafana.commands import register

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Grafana's dashboards and alert rules as code.")


@app.callback()
def _group() -> None:
    """Grafana's dashboards and alert rules as code."""


@app.command()
def build(
    folder: Annotated[
        Path | None, typer.Option(help="Where to write; default: the package's own folder.")
    ] = None,
    cities_file: Annotated[
        Path | None, typer.Option("--cities", help="The cities (TOML); default: the pilots.")
    ] = None,
    language: Annotated[str, typer.Option(help="Language of folders and alert rules: sq or en.")] = "sq",
    runbooks: Annotated[
        str, typer.Option(help="Address of the folder with the pages that explain alerts (docs/how-to).")
    ] = RUNBOOKS,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a file would change.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Generate dashboards, folders, providers and alert rules."""
    target = folder or provision.home()
    content = provision.files(cities(cities_file), language, runbooks)
    changed = provision.differences(target, content) if check else provision.write(target, content)
    if as_json:
        typer.echo(json.dumps({"files": len(content), "changed": changed}))
    else:
        console = Console(stderr=check and bool(changed), highlight=False)
        for path in changed:
            console.print(f"{'differs' if check else 'wrote'}  {path}")
        console.print(f"{len(content)} files, {len(changed)} {'differ' if check else 'changed'}")
    if check and changed:
        if not as_json:
            Console(stderr=True).print("Do: run `qytet dashboards build` and commit what it writes.")
        raise typer.Exit(1)


register(app)
