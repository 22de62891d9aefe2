"""`qytet bench provision`: a board that runs MicroPython becomes a node, or gets a newer program, over its prompt."""

import json
import time
from typing import Annotated, Any

import typer
from rich.console import Console

from qytet_bench import layout, program, serialport
from qytet_bench import settings as bench_settings
from qytet_bench.console import Redactor, Said
from qytet_bench.flash import check_owner
from qytet_bench.image_commands import node_files
from qytet_bench.line import Line
from qytet_bench.monitor import follow
from qytet_bench.node import node
from qytet_bench.onboard import About
from qytet_bench.options import (
    CONFIG,
    INTERRUPTED,
    Board,
    City,
    Config,
    Device,
    Json,
    PasswordFile,
    PortOption,
    Profile,
    Replace,
    Site,
)
from qytet_bench.progress import Shown, to_terminal
from qytet_bench.provision import Provisioned
from qytet_bench.provision import provision as put
from qytet_bench.vault import Vault

__all__ = ["provision"]


def provision(
    device: Device,
    config: Config = CONFIG,
    profile: Profile = "",
    board: Board = "",
    site: Site = "",
    city: City = "",
    port: PortOption = "",
    password_file: PasswordFile = None,
    replace: Replace = False,
    discard_backlog: Annotated[
        bool, typer.Option("--discard-backlog", help="Give up readings that the board keeps for the city.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds to wait for the node's first word afterwards.")
    ] = 30,
    as_json: Json = False,
) -> None:
    """Put a node's files onto a board that runs MicroPython: only those that differ, each verified on the board."""
    common = bench_settings.load(config)
    wanted = node(common, device, city=city, site=site, profile=profile, board=board)
    built = program.build()
    files = node_files(wanted, common, built, password_file)
    vault = Vault(common.path(common.vault))

    def may(about: About) -> None:
        layout.check_room(about.size, built, wanted.keep_bytes)
        if not replace:
            check_owner(vault, device, about.mac)
        vault.bind(device, about.mac)

    console = Console(stderr=True)
    try:
        with Line(serialport.choose(port)) as line, to_terminal(console) as shown:
            shown.say(f"Looking for MicroPython on {line.url}.")
            done = put(
                line,
                files,
                shown,
                chip=wanted.kind.chip,
                who=(wanted.city, device),
                discard_backlog=discard_backlog,
                check=may,
            )
            secrets = [wanted.wifi_password, vault.credential(device).password]
            started = _first_word(line, Redactor(secrets), wait, shown) if wait else None
    except KeyboardInterrupt:
        console.print("Interrupted. Run the same command again: it goes on where it stopped.")
        raise typer.Exit(INTERRUPTED) from None
    _tell(device, built.version, done, started, as_json=as_json)
    if wait and started is None:
        raise typer.Exit(1)


def _first_word(line: Line, redact: Redactor, wait_s: float, shown: Shown) -> Said | None:
    """The line with which the node's program begins; what goes wrong instead is shown."""
    shown.say("Waiting for the node's first word.")
    for said in follow(line, redact, until=time.monotonic() + wait_s):
        if said.kind == "node" and said.text.startswith("qytet "):
            return said
        if said.kind == "traceback" or (said.failure is not None and said.failure.level != "info"):
            shown.say(said.text)
            if said.failure is not None:
                shown.say(f"= {said.failure.title}. {said.failure.do}")
    return None


def _tell(device: str, version: str, done: Provisioned, started: Said | None, *, as_json: bool) -> None:
    if as_json:
        about = done.about
        found: dict[str, Any] = {
            "device": device,
            "program": version,
            "micropython": ".".join(map(str, about.version)),
            "mac": about.mac,
            "written": done.written,
            "removed": done.removed,
            "equal": done.equal,
            "bytes": done.sent,
            "breaks": done.breaks,
            "seconds": round(done.took_s, 1),
            "started": None if started is None else started.text,
        }
        typer.echo(json.dumps(found))
        return
    if done.written:
        typer.echo(
            f"{device}: {len(done.written)} files written ({done.sent // 1024 + 1} KB, {done.took_s:.0f} s),"
            f" {done.equal} were right already; all verified on the board."
        )
    else:
        typer.echo(f"{device}: all {done.equal} files were right already.")
    if started is not None:
        typer.echo(f"The node runs: {started.text}.")
    else:
        typer.echo("The node's first word has not come. Look: `qytet bench monitor`.")
