"""`qytet replay`: real recordings through the same path as a device's readings."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from qytet import settings
from qytet.errors import InputError
from qytet_simulators.known import known_address
from qytet_simulators.replay import account, describe, mapping
from qytet_simulators.replay.recording import Recording, Window, opened
from qytet_simulators.replay.run import Live, Orders, Replay
from qytet_simulators.replay.state import State

__all__ = ["app"]

app = typer.Typer(help="Replay a real recording through the platform's own path.")


@app.callback(
    invoke_without_command=True,
    subcommand_metavar="",
    # Options may follow the mapping; a group would take them for a sub-command's.
    context_settings={"allow_interspersed_args": True},
)
def replay(
    name: str = typer.Argument("", metavar="MAPPING", help="A mapping file, or the name of one of --list."),
    data: Path | None = typer.Option(None, envvar="QYTET_DATA", help="Folder that holds the recordings."),
    broker: str = typer.Option(
        "", help="mqtt://user:password@host:port. Default: `broker.url`, else the embedded one."
    ),
    ca_file: Path | None = typer.Option(None, help="CA that signed the broker's certificate (mqtts)."),
    start: str = typer.Option(
        "", "--from", help="First instant, ISO 8601; without offset in the city's zone."
    ),
    end: str = typer.Option("", "--to", help="Instant at which to end, itself excluded."),
    live: bool = typer.Option(
        False, "--live", help="Send record by record at --speed instead of as backfill."
    ),
    speed: float = typer.Option(60.0, min=0.001, help="With --live: recorded seconds a second."),
    keep_time: bool = typer.Option(
        False, "--keep-time", help="With --live: keep the stamps; else shift them to now."
    ),
    rate: float = typer.Option(50_000.0, min=1, help="Records a second of backfill, at most."),
    patience: float = typer.Option(60.0, min=1, help="Seconds without a `stored` mark until giving up."),
    fresh: bool = typer.Option(False, "--fresh", help="Begin anew, whatever an interrupted run has noted."),
    show_list: bool = typer.Option(False, "--list", help="List the mappings that come with the project."),
    show_description: bool = typer.Option(
        False, "--describe", help="Print what `qytet device register` needs."
    ),
    check: bool = typer.Option(False, "--check", help="Read and count everything; send nothing."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of text."),
) -> None:
    """Replay a recording. Exit code 1 if any record is not confirmed as stored, 130 if interrupted."""
    if show_list:
        _list(as_json)
        return
    if not name:
        raise InputError(
            "No mapping was given.", do="`qytet replay --list` shows those that come with the project."
        )
    found = mapping.load(name)
    with opened(found, _data(data), _window(start, end, found.city.time_zone)) as recording:
        if show_description:
            print(json.dumps(describe.description(recording), ensure_ascii=False, indent=1))
            return
        if check:
            _report(recording, account.Sent(), as_json)
            return
        orders = Orders(
            known_address(broker, ca_file), Live(speed, keep_time) if live else None, rate, patience
        )
        _deliver(recording, orders, fresh, as_json)


def _deliver(recording: Recording, orders: Orders, fresh: bool, as_json: bool) -> None:
    state = None
    if orders.live is None:
        folder = settings.load().data_dir / "replay"
        state = State(folder, recording.mapping.name, recording.identity, str(orders.address))
        if fresh:
            state.clear()
    with _interrupts() as interrupts, _bar(recording.mapping.title, as_json) as bar:
        one = Replay(
            recording, orders, state, lambda: bool(interrupts), lambda done, total: _advance(bar, done, total)
        )
        sent = one.run()
    _report(recording, sent, as_json)
    if sent.not_confirmed:
        raise typer.Exit(130 if sent.interrupted else 1)


def _report(recording: Recording, sent: account.Sent, as_json: bool) -> None:
    if as_json:
        print(json.dumps(account.as_dict(recording.mapping.name, recording.read, sent), ensure_ascii=False))
    else:
        account.show(Console(highlight=False), recording.mapping.title, recording.read, sent)


def _list(as_json: bool) -> None:
    titles = {name: mapping.load(name).title for name in mapping.built_in()}
    if as_json:
        print(json.dumps(titles, ensure_ascii=False))
        return
    width = max(map(len, titles))
    for name, title in titles.items():
        print(f"{name:<{width}}  {title}")


def _data(data: Path | None) -> Path:
    if data is None:
        raise InputError(
            "It is not known where the recordings are.",
            do="Give their folder by --data or by the environment variable QYTET_DATA.",
        )
    if not data.is_dir():
        raise InputError(f"The data folder {data} does not exist.")
    return data


def _window(start: str, end: str, zone: str) -> Window:
    window = Window(_instant(start, zone, 0), _instant(end, zone, 1 << 62))
    if window.start >= window.end:
        raise InputError("The window is empty.", why=f"--from {start} is not before --to {end}.")
    return window


def _instant(text: str, zone: str, otherwise: int) -> int:
    if not text:
        return otherwise
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is not a time.", why=str(error), do="Write 2022-03-27T12:00+02:00."
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return round(moment.timestamp() * 1000)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Signals that ask for the end, noted instead of raised; a second one ends at once."""
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Records stored a second, of late."""
        return Text(f"{task.speed or 0:,.0f}/s")


@contextmanager
def _bar(title: str, as_json: bool) -> Iterator[Progress]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    quiet = as_json or not sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        bar.add_task(title)
        yield bar


def _advance(bar: Progress, done: int, total: int) -> None:
    bar.update(bar.tasks[0].id, completed=done, total=total)
