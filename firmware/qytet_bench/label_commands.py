"""`qytet bench label` and `description`: what a node's box and the registry must say of it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from qytet.errors import InputError
from qytet_bench import description as describing
from qytet_bench import label as labelling
from qytet_bench import settings as bench_settings
from qytet_bench import tray
from qytet_bench.files import write_whole
from qytet_bench.node import NodeSettings, node
from qytet_bench.options import CONFIG, Board, City, Config, Json, Profile, Site

__all__ = ["description", "label"]

OneDevice = Annotated[str, typer.Option(help="The device's name.")]
List = Annotated[
    Path | None, typer.Option("--devices", help="A list as for `qytet bench batch`: all its devices.")
]


def label(
    out: Annotated[
        Path, typer.Option(help="A file: .svg (label), .png (the code alone) or .html (page to print).")
    ],
    device: OneDevice = "",
    devices: List = None,
    config: Config = CONFIG,
    site: Site = "",
    city: City = "",
    as_json: Json = False,
) -> None:
    """Make labels with a QR code that says device, city and site: `qytet:device/CITY/DEVICE?site=SITE`."""
    common = bench_settings.load(config)
    if devices is not None:
        named = [(row.node.city, row.node.device, row.node.site) for row in tray.read(devices, common)]
    else:
        named = [(city or common.city, device, site or common.site)]
    labels = [labelling.Label(*one).checked() for one in named]
    write_whole(out, _drawn(labels, out), secret=False)
    about = {"file": str(out), "labels": [one.content for one in labels]}
    typer.echo(json.dumps(about) if as_json else f"{out}: {', '.join(about['labels'])}")


def _drawn(labels: list[labelling.Label], out: Path) -> bytes:
    kind = out.suffix.lower()
    if kind == ".html":
        return labelling.page(labels).encode()
    if kind not in {".svg", ".png"}:
        raise InputError(f"{out} is no kind of label.", do="Give it the ending .svg, .png or .html.")
    if len(labels) > 1:
        raise InputError(
            f"{len(labels)} labels do not fit into one {kind} file.", do="Give --out the ending .html."
        )
    return labelling.png(labels[0]) if kind == ".png" else labelling.svg(labels[0]).encode()


def description(
    device: OneDevice = "",
    devices: List = None,
    config: Config = CONFIG,
    profile: Profile = "",
    board: Board = "",
    site: Site = "",
    city: City = "",
    units: Annotated[bool, typer.Option("--units", help="List its keys with their units instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The units as JSON, too; all else is.")] = False,
) -> None:
    """Print what `qytet device register -` must be told of one node, or of all in a list: JSON."""
    common = bench_settings.load(config)
    if devices is not None:
        nodes = [row.node for row in tray.read(devices, common)]
    elif device:
        nodes = [node(common, device, city=city, site=site, profile=profile, board=board)]
    else:
        raise InputError("No device is given.", do="Give --device, or --devices with a list.")
    if units:
        _units(nodes, as_json=as_json)
        return
    typer.echo(json.dumps(describing.description(nodes, common), ensure_ascii=False, indent=1))


def _units(nodes: list[NodeSettings], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({one.device: one.kind.units for one in nodes}))
        return
    for one in nodes:
        for key, unit in one.kind.units.items():
            typer.echo(f"{one.device}  {key}  {unit}")
