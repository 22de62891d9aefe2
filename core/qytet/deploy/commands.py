"""`qytet deploy`: secrets, certificates and device credentials for a deployment, and checks of it."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from qytet import settings
from qytet.deploy import create, devices, roles
from qytet.deploy.check import check as check_deployment
from qytet.doctor.show import show
from qytet.errors import InputError

__all__ = ["app"]

app = typer.Typer(help="Prepare and check a deployment with compose.yaml.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that holds compose.yaml.")]
FolderOption = Annotated[Path, typer.Option("--dir", help="The folder that holds compose.yaml.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
Device = Annotated[str, typer.Argument(metavar="DEVICE", help="The device's name.")]
HERE = Path()


@app.command()
def init(
    folder: Folder = HERE,
    host: Annotated[
        list[str] | None,
        typer.Option(help="A name or address under which devices reach the broker; may be repeated."),
    ] = None,
    rotate: Annotated[
        list[str] | None,
        typer.Option(help=f"Make this one anew; may be repeated: {', '.join(create.ROTATABLE)}."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make what the deployment lacks: secrets, certificates, .env. What is there stays; safe to repeat."""
    report = create.create(folder, host or [], rotate or [])
    if as_json:
        typer.echo(json.dumps({"made": report.made, "kept": report.kept, "next": report.next}, indent=2))
        return
    for name in report.made:
        typer.echo(f"made {name}")
    typer.echo(f"{len(report.made)} files made, {len(report.kept)} kept as they were.")
    typer.echo("Next:")
    for step in report.next or _FIRST_STEPS:
        typer.echo(f"  {step}")


_FIRST_STEPS = (
    "qytet deploy check",
    "docker compose build && docker compose up -d",
    "qytet deploy credential DEVICE   (for each device)",
    "Keep a copy of deploy/secrets/authority off this machine: with it the CA can be restored.",
)


@app.command()
def credential(
    device: Device,
    folder: FolderOption = HERE,
    renew: Annotated[bool, typer.Option("--renew", help="Replace a password that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Give a device a password of its own; it is printed once and kept as a digest only."""
    made = devices.grant(folder, device, renew=renew)
    if as_json:
        document = {"device": made.device, "password": made.password, "next": [devices.RELOAD]}
        typer.echo(json.dumps(document, indent=2))
        return
    typer.echo(f"user      {made.device}\npassword  {made.password}")
    typer.echo(f"This password is not shown again. Now let the broker read it: {devices.RELOAD}")


@app.command()
def accept(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE|-", help="Lines of `qytet bench credentials`; - reads standard input."),
    ],
    folder: FolderOption = HERE,
    as_json: Json = False,
) -> None:
    """Let devices in whose passwords the technician's bench made: their digests only."""
    taken = devices.accept(folder, _lines_of(file))
    if as_json:
        typer.echo(json.dumps({"accepted": taken, "next": [devices.RELOAD]}, indent=2))
        return
    typer.echo(f"{len(taken)} devices are let in: {', '.join(taken) or 'none'}.")
    typer.echo(f"Now let the broker read it: {devices.RELOAD}")


@app.command()
def revoke(device: Device, folder: FolderOption = HERE, as_json: Json = False) -> None:
    """Take a device's password away."""
    devices.revoke(folder, device)
    if as_json:
        typer.echo(json.dumps({"device": device, "next": [devices.RESTART]}, indent=2))
        return
    typer.echo(f"{device} has no password any more. A connection that is open ends with: {devices.RESTART}")


@app.command("devices")
def list_devices(folder: FolderOption = HERE, as_json: Json = False) -> None:
    """List the devices that have a password."""
    names = devices.names(folder)
    typer.echo(json.dumps({"devices": names}) if as_json else "\n".join(names))


@app.command()
def check(folder: Folder = HERE, as_json: Json = False) -> None:
    """Check the deployment's files without starting anything; exit code 1 if there is a problem."""
    show(check_deployment(folder), as_json=as_json)


@app.command("roles")
def make_roles(
    admin_file: Annotated[Path, typer.Option(help="File that holds the libpq URL of an administrator.")],
    dashboards_file: Annotated[
        Path | None,
        typer.Option(
            help="File that holds the libpq URL of Grafana's role. Without it that role is left alone."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the database's roles that [database] url and read_url name, and Grafana's; safe to repeat."""
    known = settings.load().database
    tier = roles.ensure(
        _url_in(admin_file),
        known.url.get_secret_value(),
        known.read_url.get_secret_value(),
        _url_in(dashboards_file) if dashboards_file else "",
    )
    typer.echo(json.dumps({"tier": tier}) if as_json else f"The roles are as the settings say ({tier}).")


def _lines_of(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read.", why=type(error).__name__) from error


def _url_in(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read.", why=str(error)) from error
    if not text:
        raise InputError(f"{file} is empty.", do="Run `qytet deploy init`, or write a libpq URL into it.")
    return text
