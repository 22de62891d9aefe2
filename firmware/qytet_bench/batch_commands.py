"""`qytet bench batch`: a tray of boards by a list of devices; the same command again goes on where it stopped."""

import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qytet.errors import InputError, QytetError
from qytet_bench import firmware, journal, label, program, serialport, tray
from qytet_bench import flash as flashing
from qytet_bench import settings as bench_settings
from qytet_bench.batch import Boards, Listed, Outcome, Plugged, State, Tray
from qytet_bench.files import write_whole
from qytet_bench.options import CONFIG, INTERRUPTED, Baud, Config, Json
from qytet_bench.progress import Shown, to_terminal

__all__ = ["batch"]

_DONE = {State.FLASHED, State.ACCEPTED}
Of = TypeVar("Of")
Gives = TypeVar("Gives")


def batch(
    devices: Annotated[Path, typer.Argument(metavar="DEVICES.csv", help="One device a line.")],
    config: Config = CONFIG,
    port: Annotated[
        list[str] | None,
        typer.Option(
            help="Boards that are plugged in already, in this order; repeatable. None: one after another."
        ),
    ] = None,
    baud: Baud = 460800,
    wait: Annotated[float, typer.Option(min=1, help="Seconds to wait for the next board.")] = 600,
    labels: Annotated[
        Path | None, typer.Option(help="A folder for labels: one SVG a device, and labels.html with all.")
    ] = None,
    again: Annotated[list[str] | None, typer.Option(help="Do this device once more; repeatable.")] = None,
    test: Annotated[
        bool,
        typer.Option(
            "--test", help="Also test each node as `qytet bench test` does; its records: acceptance/."
        ),
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only check the list; touch no board.")] = False,
    as_json: Json = False,
) -> None:
    """Flash a tray of boards, one device of the list after another; go on after any break."""
    common = bench_settings.load(config)
    rows = tray.read(devices, common)
    _check_again(rows, again or [])
    if check:
        typer.echo(
            json.dumps({"devices": len(rows)}) if as_json else f"{devices}: {len(rows)} devices, no mistake."
        )
        return
    if test:
        _platform(common)
    console = Console(stderr=True)
    with journal.opened(devices.with_name(devices.name + ".journal")) as notes, to_terminal(console) as shown:
        work = Tray(
            rows=rows,
            journal=notes,
            boards=_boards(port or [], wait, shown),
            make_job=_jobs(common),
            write=lambda job, where, replace: flashing.flash(job, where, shown, baud=baud, replace=replace),
            say=shown.say,
            ask=_in_peace(shown, _ask),
            finish=lambda row: _label(labels, row),
            accept=_in_peace(shown, lambda row: _accept(row, config, devices)) if test else None,
            again=frozenset(again or ()),
        )
        interrupted = False
        try:
            work.run()
        except KeyboardInterrupt:  # HalfWritten too
            interrupted = True
    outcomes = [work.standing(row) for row in rows]
    _show(outcomes, interrupted=interrupted, as_json=as_json)
    _labels(labels, rows, outcomes)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if any(outcome.state not in _DONE for outcome in outcomes):
        raise typer.Exit(1)


def _check_again(rows: Sequence[tray.Row], again: Sequence[str]) -> None:
    unknown = set(again) - {row.node.device for row in rows}
    if unknown:
        raise InputError(f"The list has no device {', '.join(sorted(unknown))}.", do="Mend --again.")


def _boards(ports: Sequence[str], wait_s: float, shown: Shown) -> Boards:
    if ports:
        return Listed([serialport.choose(port) for port in ports])
    others = {port.path for port in serialport.ports() if not port.bridge}  # a modem, a scale: no board
    return Plugged(shown.say, wait_s, serialport.Watcher(others))


def _jobs(common: bench_settings.BenchSettings) -> Callable[[tray.Row], flashing.Job]:
    """Program and images are read once for all boards."""
    built = program.build()
    image = cache(lambda chip: firmware.load(common, chip))
    return lambda row: flashing.prepare(row.node, common, built, image(row.node.kind.chip), row.password)


def _in_peace(shown: Shown, call: Callable[[Of], Gives]) -> Callable[[Of], Gives]:
    """The call, while no bar writes over what a person is asked or told."""

    def called(of: Of) -> Gives:
        with shown.paused():
            return call(of)

    return called


def _ask(question: str) -> bool:
    """A person's answer; without one, no. Raises KeyboardInterrupt."""
    try:
        return sys.stdin.isatty() and typer.confirm(question, default=False, err=True)
    except typer.Abort:
        raise KeyboardInterrupt from None


def _platform(common: bench_settings.BenchSettings) -> None:
    """Refuse to begin what could not be tested. Raises InputError."""
    from qytet_bench.acceptance.commands import platform

    platform(common.api)


def _accept(row: tray.Row, config: Path, devices: Path) -> None:
    """Test a node; raises QytetError if it does not pass. What the test says goes beside the answer of this command."""
    from qytet_bench.acceptance.commands import accept  # takes a moment, and not every tray is tested

    try:
        with contextlib.redirect_stdout(sys.stderr):
            accept(row.node.device, config, devices=devices, out=devices.with_name("acceptance"))
    except typer.Exit as exit_:
        if exit_.exit_code == INTERRUPTED:
            raise KeyboardInterrupt from exit_
        raise QytetError(
            f"{row.node.device} did not pass its test.",
            do="Its record in acceptance/ says what failed; mend that, and run the same command again.",
        ) from None


def _label(folder: Path | None, row: tray.Row) -> None:
    if folder is not None:
        made = label.svg(_label_of(row))
        write_whole(folder / f"{row.node.device}.svg", made.encode(), secret=False)


def _labels(folder: Path | None, rows: Sequence[tray.Row], outcomes: Sequence[Outcome]) -> None:
    if folder is not None:
        done = {outcome.device for outcome in outcomes if outcome.state in _DONE}
        made = label.page([_label_of(row) for row in rows if row.node.device in done])
        write_whole(folder / "labels.html", made.encode(), secret=False)


def _label_of(row: tray.Row) -> label.Label:
    return label.Label(row.node.city, row.node.device, row.node.site)


def _show(outcomes: Sequence[Outcome], *, interrupted: bool, as_json: bool) -> None:
    done = sum(outcome.state in _DONE for outcome in outcomes)
    failed = sum(outcome.state in {State.FAILED, State.REFUSED} for outcome in outcomes)
    counts = {"done": done, "failed": failed, "left": len(outcomes) - done - failed}
    if as_json:
        document = {
            "interrupted": interrupted,
            **counts,
            "devices": [outcome.document() for outcome in outcomes],
        }
        typer.echo(json.dumps(document))
        return
    table = Table("device", "state", "board", "", box=None, header_style="bold")
    for outcome in outcomes:
        state = outcome.state if outcome.now or outcome.state not in _DONE else f"{outcome.state} before"
        table.add_row(outcome.device, state, outcome.mac, escape(outcome.why))
    Console(highlight=False).print(table)
    typer.echo(", ".join(f"{count} {what}" for what, count in counts.items()))
    if counts["left"] or failed:
        typer.echo("The same command again goes on with these (with those refused, if it has --test).")
