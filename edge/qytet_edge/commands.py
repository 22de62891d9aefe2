"""`qytet edge`: run the gateway, ask how it is, check its configuration, find faults, update it."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from qytet_edge import config as configuration
from qytet_edge.update.commands import app as update_app
from qytet_edge.update.commands import config_apply

__all__ = ["app"]

app = typer.Typer(help="Run a gateway, and ask how it is.", no_args_is_help=True)
config_app = typer.Typer(help="Check, show or begin a configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(update_app, name="update")
config_app.command(name="apply")(config_apply)

File = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="The configuration. Default: QYTET_EDGE_CONFIG, else /etc/qytet-edge/qytet-edge.toml.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


@app.command()
def run(file: File = None) -> None:
    """Work until stopped (SIGTERM or Ctrl-C stop it in order)."""
    from qytet import log
    from qytet_edge import service

    config = configuration.read(configuration.path_in_force(file))
    log.configure(config.log)
    service.run(config)


@app.command()
def status(
    file: File = None,
    values: Annotated[
        bool, typer.Option("--values", help="Each value on a line of its own, with its unit.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask the running gateway how it is."""
    from qytet_edge import status as statuses
    from qytet_edge.show import show_status

    config = configuration.read(configuration.path_in_force(file))
    found = statuses.ask(config.data_dir)
    if as_json:
        _print(found)
    else:
        show_status(found, values=values)


@app.command()
def doctor(file: File = None, as_json: Json = False) -> None:
    """Look at everything between the instruments and the city, and say how to mend what is wrong.

    Exit code 1 if there is a problem; warnings are no problem.
    """
    from qytet.doctor.show import show
    from qytet_edge.doctor import diagnose

    show(diagnose(configuration.path_in_force(file)), as_json=as_json)


@config_app.command()
def check(file: File = None, as_json: Json = False) -> None:
    """Check the whole configuration and name every mistake; changes nothing."""
    config = configuration.read_and_try(configuration.path_in_force(file))
    counts = {"sources": len(config.sources), "outputs": len(config.outputs), "rules": len(config.rules)}
    if as_json:
        _print({"path": str(config.path), **counts})
    else:
        said = ", ".join(f"{number} {name}" for name, number in counts.items())
        typer.echo(f"{config.path} is right: {said}.")


@config_app.command()
def show(file: File = None, as_json: Json = False) -> None:
    """Show what is in force, defaults included; there are no secrets in it."""
    from qytet_edge.toml import to_toml

    plain = configuration.read(configuration.path_in_force(file)).plain()
    if as_json:
        _print(plain)
    else:
        typer.echo(to_toml(plain), nl=False)


@config_app.command()
def sample() -> None:
    """Write a commented configuration to begin with."""
    typer.echo(configuration.sample(), nl=False)


def _print(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
