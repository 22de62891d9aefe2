"""`qytet edge update`: make bundles, put them on trial, go back; `config_apply` does it for a configuration.

What knows signatures is imported when it is used: cryptography takes 7 MB, and the gateway that runs needs none of it.
"""

import json
import tempfile
import threading
from pathlib import Path
from typing import Annotated

import typer

from qytet.errors import InputError
from qytet_edge.update import disk, trial
from qytet_edge.update.layout import Layout

__all__ = ["app", "config_apply"]

app = typer.Typer(help="Update this gateway on evidence, and go back.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
Root = Annotated[
    Path, typer.Option(help="The folder that counts as the root of the file system.", hidden=True)
]
Minutes = Annotated[
    int, typer.Option(help="Minutes in which the city must have stored a record of the new one.")
]
SLASH = Path("/")


@app.command()
def apply(
    source: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="A bundle (file or folder), or its https address.")
    ],
    sha256: Annotated[str, typer.Option(help="What an address must give.")] = "",
    minutes: Minutes = trial.CHECKS,
    downgrade: Annotated[bool, typer.Option("--downgrade", help="Accept an older release.")] = False,
    root: Root = SLASH,
    as_json: Json = False,
) -> None:
    """Put a signed bundle's release on trial and start it; without evidence the old one comes back."""
    from qytet_edge.update import apply as root_side
    from qytet_edge.update.fetch import fetch

    layout = Layout(root)
    with tempfile.TemporaryDirectory(prefix="qytet-update-") as name:
        path = Path(source)
        if "://" in source:
            if not sha256:
                raise InputError("An address needs --sha256.", do="Ask for it whoever gave you the address.")
            path = Path(name) / "bundle.tar"
            try:
                fetch(source, sha256, path, threading.Event())
            except OSError as error:
                raise InputError("The bundle cannot be fetched.", why=str(error)) from error
        version = root_side.apply(layout, path, checks=minutes, downgrade=downgrade)
    _say_trial(version, minutes, as_json=as_json)


@app.command()
def requested(root: Root = SLASH) -> None:
    """Install what the gateway has asked for (called by qytet-edge-update.service)."""
    from qytet_edge.update import apply as root_side

    layout = Layout(root)
    if layout.request.exists() or layout.request.is_symlink():
        typer.echo(f"{root_side.requested(layout)} is on trial.")


@app.command()
def rollback(root: Root = SLASH, as_json: Json = False) -> None:
    """Go back at once: end a trial, or return to the release before this one."""
    from qytet_edge.update import apply as root_side

    version = root_side.rollback(Layout(root))
    typer.echo(json.dumps({"running": version}) if as_json else f"{version} runs again.")


@app.command()
def status(root: Root = SLASH, as_json: Json = False) -> None:
    """Show what runs, what is on trial, and what became of the last update."""
    layout = Layout(root)
    on_trial = trial.read(layout.trial / "info")
    if on_trial:
        on_trial |= {name: str(_left(layout.trial / name)) for name in ("starts", "checks")}
    outcome = trial.read(layout.outcome)
    if as_json:
        typer.echo(
            json.dumps({"running": layout.running(), "trial": on_trial or None, "last": outcome or None})
        )
        return
    typer.echo(f"running   {layout.running()}")
    if on_trial:
        typer.echo(
            f"on trial  {on_trial['kind']} {on_trial['to']}: {on_trial['starts']} more starts and "
            f"{on_trial['checks']} more minutes, then back to {on_trial['from']}"
        )
    if outcome:
        why = f" ({outcome['why']})" if outcome["why"] else ""
        typer.echo(f"last      {outcome['kind']} {outcome['to']}: {outcome['result']}{why}")


@app.command()
def keygen(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the two files go; it must exist.")],
) -> None:
    """Make a pair of keys: update.key signs bundles and stays secret; update.pem goes to the gateways."""
    from qytet_edge.update import manifest

    private, public = manifest.new_key()
    for name, content, mode in (("update.key", private, 0o600), ("update.pem", public, 0o644)):
        if (folder / name).exists():
            raise InputError(f"{folder / name} is there already.", do="Move it away first, if you mean it.")
        disk.write(folder / name, content, mode)
    typer.echo(f"{folder / 'update.key'} signs: keep it away from gateways and servers, and keep a copy.")
    typer.echo(f"{folder / 'update.pem'} is trusted by gateways that have it in /etc/qytet-edge/update-keys.")


@app.command()
def bundle(
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="The release, as the wheel of qytet names it.")
    ],
    wheels: Annotated[Path, typer.Option(help="Folder with the wheels of qytet and all that it needs.")],
    key: Annotated[Path, typer.Option(help="The key that signs (update.key).")],
    out: Annotated[Path, typer.Option(help="The bundle to write.")],
    deploy: Annotated[
        Path | None,
        typer.Option(help="Folder edge/deploy, so that a fresh Pi can be set up from the bundle."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a signed bundle of wheels."""
    from qytet_edge.update import bundle as bundles
    from qytet_edge.update import manifest

    made = bundles.make(version, wheels, deploy, key, out)
    document = {"version": version, "files": len(made.files), "bytes": made.size}
    document |= {"bundle": str(out), "sha256": manifest.digest(out).sha256}
    if as_json:
        typer.echo(json.dumps(document))
        return
    typer.echo(f"{out}: {version}, {len(made.files)} files, {made.size:,} bytes\nsha256 {document['sha256']}")


def config_apply(
    new: Annotated[Path, typer.Argument(metavar="FILE", help="The new configuration.")],
    minutes: Minutes = trial.CHECKS,
    root: Root = SLASH,
    as_json: Json = False,
) -> None:
    """Put a configuration on trial and start with it; without evidence the old one comes back."""
    from qytet_edge import config  # it brings the plug-ins' models, which updates do not need
    from qytet_edge.update import apply as root_side

    digest = root_side.apply_config(Layout(root), new, config.read_and_try, checks=minutes)
    _say_trial(digest, minutes, as_json=as_json)


def _say_trial(new: str, minutes: int, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"on_trial": new, "starts": trial.STARTS, "minutes": minutes}))
        return
    typer.echo(
        f"{new[:16]} is on trial. It stays if the city stores a record of it within {minutes} minutes."
    )
    typer.echo("See how it stands: qytet edge update status")


def _left(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
