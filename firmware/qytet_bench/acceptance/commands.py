"""`qytet bench test`: accepts a node in place, and writes the record."""

import getpass
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from qytet import settings as platform_settings
from qytet.errors import InputError, NotFoundError
from qytet_bench import serialport, tray
from qytet_bench import settings as bench_settings
from qytet_bench.acceptance.api import Api
from qytet_bench.acceptance.check import Check, State
from qytet_bench.acceptance.checks import RSSI_DBM
from qytet_bench.acceptance.facts import Subject
from qytet_bench.acceptance.page import page
from qytet_bench.acceptance.record import Setting, record
from qytet_bench.acceptance.run import Limits, look
from qytet_bench.acceptance.watch import Watch
from qytet_bench.console import Redactor
from qytet_bench.files import write_whole
from qytet_bench.monitor_commands import known_secrets
from qytet_bench.node import NodeSettings, node
from qytet_bench.options import CONFIG, INTERRUPTED, Board, City, Config, Device, Json, Profile, Site
from qytet_bench.vault import Vault

__all__ = ["accept", "platform"]

_TELL_S = 15.0
_STYLES = {State.PASSED: ("ok  ", "green"), State.FAILED: ("FAIL", "red"), State.SKIPPED: ("skip", "yellow")}


def accept(
    device: Device,
    config: Config = CONFIG,
    profile: Profile = "",
    board: Board = "",
    site: Site = "",
    city: City = "",
    devices: Annotated[
        Path | None, typer.Option(help="The list of `qytet bench batch`, in which the device stands.")
    ] = None,
    port: Annotated[
        str, typer.Option(help="Listen to the board on this port meanwhile; `auto`: the only one.")
    ] = "",
    api: Annotated[str, typer.Option(help="The platform's address. Empty: `api` of bench.toml.")] = "",
    within: Annotated[
        float | None,
        typer.Option(min=0, max=86400, help="Seconds to wait at most. None: as long as a report may take."),
    ] = None,
    every: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds between two looks.")] = 3,
    min_rssi: Annotated[
        float, typer.Option(min=-120, max=0, help="dBm that the signal must have.")
    ] = RSSI_DBM,
    firmware: Annotated[str, typer.Option(help="The program that it must run. Empty: this release's.")] = "",
    skip: Annotated[
        list[str] | None, typer.Option(help="Leave out a check, such as tls or sensor:co2; repeatable.")
    ] = None,
    technician: Annotated[str, typer.Option(help="Who accepts it. Empty: who is logged in here.")] = "",
    note: Annotated[str, typer.Option(help="A note for the record.")] = "",
    out: Annotated[Path, typer.Option(help="The folder of the records.")] = Path("acceptance"),
    as_json: Json = False,
) -> None:
    """Accept a node in place: sensors, signal, encryption, clock, backlog, and its reading in the database.

    Writes DEVICE-TIME.json and .html to print. Exit code 1 if any check fails. The operator's token, if it is set
    (QYTET_API__OPERATOR_TOKEN), lets it see refused messages as well.
    """
    common = bench_settings.load(config)
    wanted = _node(common, devices, device, city=city, site=site, profile=profile, board=board)
    subject = Subject.of(wanted, firmware)
    asked = platform(api or common.api)
    limits = Limits(
        _patience(subject) if within is None else within,
        every,
        min_rssi,
        _checked(frozenset(skip or ()), subject),
    )
    console = Console(stderr=True, highlight=False)
    port = serialport.choose("" if port == "auto" else port) if port else ""
    started = datetime.now(UTC)
    try:
        with Watch(port, Redactor(known_secrets(config))) as watch:
            outcome = look(subject, asked, watch, limits, _Shown(console))
        bound = Vault(common.path(common.vault)).find(device)
        setting = Setting(
            technician=technician or _who(),
            note=note,
            started_at=started,
            ended_at=datetime.now(UTC),
            mac=bound.board if bound else "",
            with_console=bool(port),
        )
        document = record(subject, asked, outcome, setting)
    except KeyboardInterrupt:
        console.print("Interrupted: no record was written.")
        raise typer.Exit(INTERRUPTED) from None
    _tell(console, document, _written(out, document), as_json=as_json)
    if not outcome.passed:
        raise typer.Exit(1)


def _written(folder: Path, document: dict[str, Any]) -> Path:
    """Both files; returns their name without an ending, which no other acceptance has."""
    when = "".join(one for one in document["started_at"] if one.isalnum())  # to the millisecond
    name = folder / f"{document['device']}-{when}"
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    write_whole(name.with_suffix(".json"), text.encode(), secret=False)
    write_whole(name.with_suffix(".html"), page(document).encode(), secret=False)
    return name


def _node(
    common: bench_settings.BenchSettings, devices: Path | None, device: str, **given: str
) -> NodeSettings:
    if devices is None:
        return node(common, device, **given)
    for row in tray.read(devices, common):
        if row.node.device == device:
            return row.node
    raise NotFoundError(
        f"{device} is not in {devices}.", do="Compare the name with the list's column `device`."
    )


def _patience(subject: Subject) -> float:
    """Health comes every five minutes, readings with each report."""
    return max(420.0, subject.report_s + 120.0)


def platform(url: str) -> Api:
    """The platform's API at that address, with the operator's token if it is set. Raises InputError."""
    if not url:
        raise InputError(
            "The platform's address is not known.", do="Set api in bench.toml, or give --api https://…"
        )
    return Api(url, platform_settings.load().api.operator_token.get_secret_value())


def _checked(skip: frozenset[str], subject: Subject) -> frozenset[str]:
    known = {"heard", "firmware", "clock", "rssi", "tls", "backlog", "refused", "console"}
    known |= {f"sensor:{row['name']}" for row in subject.profile["sensors"]}
    known |= {f"output:{row['name']}" for row in subject.profile.get("outputs") or ()}
    for name in sorted(skip - known):
        raise InputError(
            f"There is no check {name!r} that could be left out.", do=f"One of {', '.join(sorted(known))}."
        )
    return skip


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user in a container; no pwd on Windows
        return ""


class _Shown:
    """Each change of a check, and every quarter of a minute what is waited for."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._states: dict[str, tuple[State, str]] = {}
        self._told_at = time.monotonic()

    def __call__(self, checks: Sequence[Check], left_s: float) -> None:
        """After each look."""
        for check in checks:
            before = self._states.get(check.id)
            said = (check.state, check.seen if check.state is State.FAILED and check.settled else "")
            if before != said:
                self._states[check.id] = said
                self._line(check, waits=check.state is State.FAILED and not check.settled and left_s > 0)
        waiting = [check for check in checks if check.state is State.FAILED and not check.settled]
        if waiting and left_s and time.monotonic() - self._told_at >= _TELL_S:
            self._told_at = time.monotonic()
            names = ", ".join(f"{check.title} ({check.seen})" for check in waiting)
            self._console.print(
                f"     waiting {left_s:.0f} s at most for: {names}", soft_wrap=True, markup=False
            )

    def _line(self, check: Check, *, waits: bool) -> None:
        word, style = ("... ", "dim") if waits else _STYLES[check.state]
        self._console.print(
            Text(f"{word} ", style=style).append(f"{check.title}: {check.seen}"), soft_wrap=True
        )


def _tell(console: Console, document: dict[str, Any], name: Path, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    failed = [check for check in document["checks"] if check["state"] == "failed"]
    for check in failed:
        console.print(
            Text(f"FAIL {check['title']}", style="red").append(f": {check['seen']}"), soft_wrap=True
        )
        console.print(f"     expected: {check['expected']}", soft_wrap=True, markup=False)
        console.print(f"     do: {check['do']}", soft_wrap=True, markup=False)
    skipped = sum(check["state"] == "skipped" for check in document["checks"])
    verdict = "is accepted" if not failed else f"is not accepted: {len(failed)} checks failed"
    more = f", {skipped} skipped" if skipped else ""
    typer.echo(f"{document['device']} {verdict}{more}. The record: {name}.json, to print: {name}.html")
