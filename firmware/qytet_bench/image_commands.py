"""`qytet bench image` and `program`: what a bench puts onto a board, as files."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from qytet.errors import InputError
from qytet_bench import filesystem, layout, program
from qytet_bench import settings as bench_settings
from qytet_bench.files import write_whole
from qytet_bench.node import NodeSettings, node
from qytet_bench.options import CONFIG, Board, City, Config, Device, Json, PasswordFile, Profile, Site
from qytet_bench.vault import Vault, password_in

__all__ = ["image", "node_files", "program_"]

_PROGRAM_VERSION = 1


def image(
    device: Device,
    out: Annotated[Path, typer.Option(help="The file to write; it holds secrets, only you can read it.")],
    config: Config = CONFIG,
    profile: Profile = "",
    board: Board = "",
    site: Site = "",
    city: City = "",
    size: Annotated[str, typer.Option(help="Bytes of the partition, decimal or 0x….")] = "0x200000",
    password_file: PasswordFile = None,
    as_json: Json = False,
) -> None:
    """Write a node's whole file system as one littlefs image: program, identity, network, trust, credential."""
    common = bench_settings.load(config)
    wanted = node(common, device, city=city, site=site, profile=profile, board=board)
    built = program.build()
    layout.check_room(_bytes(size), built, wanted.keep_bytes)
    content = filesystem.image(_bytes(size), node_files(wanted, common, built, password_file))
    write_whole(out, content, secret=True)
    about = {"file": str(out), "bytes": len(content), "device": device, "version": built.version}
    typer.echo(
        json.dumps(about) if as_json else f"{out}: {len(content)} bytes, {device}, program {built.version}"
    )


def node_files(
    wanted: NodeSettings,
    common: bench_settings.BenchSettings,
    built: program.Program,
    password_file: Path | None,
) -> dict[str, bytes]:
    """All files of the node's board, its credential from the vault, or from the file (which the vault then keeps)."""
    vault = Vault(common.path(common.vault))
    if password_file is None:
        credential = vault.credential(wanted.device)
    else:
        credential = vault.adopt(wanted.device, password_in(password_file))
    return layout.board_files(built, wanted.files(credential.password))


def program_(
    out: Annotated[Path, typer.Option(help="The folder in which program.json is written.")],
    as_json: Json = False,
) -> None:
    """Write program.json: the node's compiled program without any identity, for the web page that flashes."""
    built = program.build()
    root = {**built.root, "slot.json": json.dumps(layout.SLOT, separators=(",", ":")).encode()}
    document = {
        "v": _PROGRAM_VERSION,
        "version": built.version,
        "root": _encoded(root),
        "slot": _encoded(built.slot),
        "sha256": _digest(root, built.slot),
    }
    path = out / "program.json"
    write_whole(path, json.dumps(document, separators=(",", ":")).encode(), secret=False)
    about = {"file": str(path), "version": built.version, "sha256": document["sha256"]}
    typer.echo(json.dumps(about) if as_json else f"{path}: program {built.version}, {len(built.slot)} files")


def _digest(root: Mapping[str, bytes], slot: Mapping[str, bytes]) -> str:
    """SHA-256 over every file's place, name, size and content, root before slot, sorted."""
    found = hashlib.sha256()
    for place, files in (("root", root), ("slot", slot)):
        for name, content in sorted(files.items()):
            found.update(f"{place} {name} {len(content)}\n".encode())
            found.update(content)
    return found.hexdigest()


def _encoded(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(content).decode() for name, content in sorted(files.items())}


def _bytes(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError as error:
        raise InputError(f"{text!r} is no size.", do="Such as 0x200000 or 2097152.") from error
