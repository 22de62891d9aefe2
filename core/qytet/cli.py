"""The `qytet` command: finds every part's sub-commands by entry point and shows errors as people read them."""

import json
import sys
from importlib.metadata import entry_points, version
from typing import Annotated

import typer
from rich.console import Console

from qytet import log, settings
from qytet.errors import QytetError, SettingsError

__all__ = ["add_plugins", "app", "main"]

app = typer.Typer(
    name="qytet",
    help="Qytet: a sensor platform that a city can own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"qytet {version('qytet')}")
        raise typer.Exit


@app.callback()
def _configure(
    context: typer.Context,
    _wants_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run before every sub-command."""
    try:
        log.configure(settings.load().log)
    except SettingsError:
        if context.invoked_subcommand != "doctor":  # it tells what is wrong itself
            raise


def add_plugins(*, strict: bool = False, first_word: str = "") -> None:
    """Attach each installed part's commands; a part whose extra is not installed says so when called.

    If the command line's first word names a part, only that one is loaded: the others take a second.

    A module of our own that is missing is no missing extra but a broken installation: `strict` raises then.
    """
    known = entry_points(group="qytet.commands")
    wanted = known.select(name=first_word) or known
    for found in sorted(wanted, key=lambda point: point.name):
        try:
            plugin = found.load()
        except ModuleNotFoundError as missing:
            if strict and (missing.name or "").startswith("qytet"):
                raise
            _add_missing(found.name, missing.name or "?")
            continue
        app.add_typer(plugin, name=found.name)


def _add_missing(name: str, module: str) -> None:
    @app.command(name, help=f"(not available: the module {module} is not installed)")
    def _missing() -> None:
        raise QytetError(
            f"`qytet {name}` is not available here.",
            why=f"The Python module {module} is not installed.",
            do="Install qytet again."
            if module.startswith("qytet")
            else "Install the extra that brings it, for example: pip install 'qytet[demo]'",
        )


def show(error: QytetError) -> None:
    """Write an error to standard error: what happened, why, and what to do; JSON if --json was asked for."""
    if "--json" in sys.argv:
        sys.stderr.write(
            json.dumps({"error": error.what, "why": error.why, "do": error.do}, ensure_ascii=False) + "\n"
        )
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("[bold red]Error:[/] ", end="")
    console.print(error.what, markup=False)
    if error.why:
        console.print(f"  Why: {error.why}", markup=False)
    if error.do:
        console.print(f"  Do:  {error.do}", markup=False)


def main() -> None:
    """Entry point of the `qytet` program. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    add_plugins(first_word=next(iter(sys.argv[1:]), ""))
    try:
        app()
    except QytetError as error:
        show(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
