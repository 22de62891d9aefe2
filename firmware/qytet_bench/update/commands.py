"""`qytet bench key` and `qytet bench bundle`: what an operator needs to update nodes over the air."""

import json
from pathlib import Path
from typing import Annotated

import typer

from qytet.errors import InputError
from qytet_bench import program
from qytet_bench.files import write_whole
from qytet_bench.options import Json
from qytet_bench.update import bundle as bundles
from qytet_bench.update import keys

__all__ = ["bundle", "key"]


def key(
    out: Annotated[Path, typer.Option(help="The private key to write, such as keys/update.pem.")],
    as_json: Json = False,
) -> None:
    """Make the key that signs updates; its public part goes to the nodes (update_key in bench.toml)."""
    modulus = keys.make(out)
    public = keys.public_path(out)
    if as_json:
        typer.echo(json.dumps({"key": str(out), "public": str(public), "modulus": modulus}))
        return
    typer.echo(
        f"{out} signs updates: keep it off nodes and servers, and keep a copy; without it no node updates."
    )
    typer.echo(f"{public} is what nodes trust: name it as update_key in bench.toml before you flash them.")


def bundle(
    key: Annotated[
        Path | None, typer.Option(help="The private key that signs (or, for --show, that signed).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The bundle to write; a folder gets a file by the version.")
    ] = None,
    show: Annotated[Path | None, typer.Option(help="Check a bundle and say what is in it.")] = None,
    allow_downgrade: Annotated[
        bool,
        typer.Option("--allow-downgrade", help="Let nodes take it that run this version, or a newer one."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a signed bundle of this release's node program, or look into one."""
    if show is not None:
        if out is not None or allow_downgrade:
            raise InputError("--show only looks.", do="Leave --out and --allow-downgrade away.")
        signer = keys.load(key).public_key() if key else None
        _say(show, bundles.read(_content(show), signer), signed=bool(key), as_json=as_json)
        return
    if key is None or out is None:
        raise InputError("A bundle needs --key and --out.", do="Or look into one: --show FILE.")
    signing, built = keys.load(key), program.build()
    content = bundles.make(built.version, built.slot, signing, allow_downgrade=allow_downgrade)
    path = out / f"qytet-node-{built.version}.bundle" if out.is_dir() else out
    write_whole(path, content, secret=False)
    _say(path, bundles.read(content, signing.public_key()), signed=True, as_json=as_json)


def _say(path: Path, found: bundles.Bundle, *, signed: bool, as_json: bool) -> None:
    files = {file.path: file.size for file in found.files}
    about = {"file": str(path), "version": found.version, "downgrade": found.downgrade, "bytes": found.size}
    if as_json:
        typer.echo(json.dumps({**about, "sha256": found.sha256, "signed": signed, "files": files}))
        return
    older = ", also over newer versions" if found.downgrade else ""
    checked = "signature good" if signed else "signature not checked (give --key)"
    typer.echo(f"{path}: version {found.version}{older}, {len(files)} files, {found.size:,} bytes, {checked}")
    typer.echo(f"sha256 {found.sha256}")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read.", why=str(error.strerror)) from error
