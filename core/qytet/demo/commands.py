"""`qytet demo`: run the whole platform on this machine, and remove what it keeps."""

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from qytet import settings
from qytet.demo import summary as summaries
from qytet.demo.folder import DemoFolder, claimed
from qytet.demo.options import Options
from qytet.demo.run import run as run_demo
from qytet.embedded import EmbeddedNats, EmbeddedPostgres
from qytet.errors import InputError

__all__ = ["app"]

app = typer.Typer(help="The whole platform on this machine.", no_args_is_help=True)

Json = Annotated[
    bool, typer.Option("--json", help="The account as one JSON object; progress on standard error.")
]


@app.command()
def run(
    duration: Annotated[
        float | None, typer.Option(min=1, help="Seconds to run. Default: until Ctrl-C.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of page and API. Default: 8100, else the next free."),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two reports of a device.")] = 2.0,
    devices: Annotated[int | None, typer.Option(min=3, help="Scale the fleet to so many devices.")] = None,
    scenario: Annotated[
        str, typer.Option(help="Let things go wrong: a sample of `qytet simulate scenario`, or a file.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Start database, broker, ingest, API and simulated cities; watch; Ctrl-C stops all in order.

    Ends with an account, also in demo-summary.json of the data folder. Exit code 1 if a reading was lost or
    duplicated. A second Ctrl-C ends at once, without an account.
    """
    console = Console(stderr=as_json, highlight=False)
    known = settings.load()
    summary = run_demo(Options(duration, port, interval, devices, scenario), known, console)
    if as_json:
        typer.echo(summaries.as_json(summary))
    else:
        summaries.show(summary, console, DemoFolder(known.data_dir).summary)
    if not summary.ok:
        raise typer.Exit(1)


@app.command()
def remove(as_json: Json = False) -> None:
    """Delete the data folder: database, broker's store, logs, wherever their parts lie; refuses while in use."""
    root = settings.load().data_dir.absolute()
    if root.exists():
        _refuse_foreign(root)
        with claimed(root) as folder:
            EmbeddedNats(folder.nats).remove()
            EmbeddedPostgres(folder.postgres).remove()
        shutil.rmtree(root)
    if as_json:
        typer.echo(json.dumps({"removed": str(root)}))
    else:
        sys.stdout.write(f"{root} is deleted.\n")


def _refuse_foreign(root: Path) -> None:
    ours = {"postgres", "nats", "log", "demo", "replay", "demo-summary.json"}
    foreign = [] if root.is_symlink() else sorted({entry.name for entry in root.iterdir()} - ours)
    if root.is_symlink() or foreign:
        raise InputError(
            f"{root} is not deleted.",
            why=f"It holds {', '.join(foreign[:5])}." if foreign else "It is a link.",
            do="Delete or move by hand what is not the platform's, then try again.",
        )
