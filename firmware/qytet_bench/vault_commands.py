"""`qytet bench credentials`: what the broker must know of the devices in the vault: digests, never a password."""

import json
from pathlib import Path
from typing import Annotated

import typer

from qytet.deploy import passwords
from qytet.errors import NotFoundError
from qytet_bench import settings as bench_settings
from qytet_bench import tray
from qytet_bench.files import write_whole
from qytet_bench.options import CONFIG, Config, Json
from qytet_bench.vault import Vault

__all__ = ["credentials"]


def credentials(
    device: Annotated[list[str] | None, typer.Option(help="Only this device; repeatable. None: all.")] = None,
    out: Annotated[Path | None, typer.Option(help="A file to write. None: standard output.")] = None,
    devices: Annotated[
        Path | None, typer.Option(help="The devices of a list as for `qytet bench batch`.")
    ] = None,
    new: Annotated[
        bool,
        typer.Option(
            "--new", help="Make those that are missing, so that the broker knows them before the boards."
        ),
    ] = False,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Print the devices' users and digests as Mosquitto keeps them, for `qytet deploy accept -` at the broker."""
    common = bench_settings.load(config)
    vault = Vault(common.path(common.vault))
    wanted = set(device or ())
    for row in tray.read(devices, common) if devices else ():
        wanted.add(row.node.device)
        if new and row.password:
            vault.adopt(row.node.device, row.password)
    if new:
        for name in sorted(wanted):
            vault.credential(name)
    users = {
        found.device: passwords.hashed(found.password)
        for found in vault
        if not wanted or found.device in wanted
    }
    if missing := wanted - users.keys():
        raise NotFoundError(
            f"The vault has no credential of {', '.join(sorted(missing))}.",
            do="A device gets one when it is flashed, or by --new.",
        )
    text = json.dumps({"users": users}) + "\n" if as_json else passwords.render(users)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_whole(out, text.encode(), secret=True)
