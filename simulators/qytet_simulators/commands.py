"""`qytet simulate`: cities of devices, their description for the registry, scenarios and load."""

import json
import secrets
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from qytet.errors import InputError
from qytet_simulators.city.fleet import CITIES, Fleet, load_fleet
from qytet_simulators.device.backlog import Patience
from qytet_simulators.device.describe import description
from qytet_simulators.device.flood import FloodResult, Pace, flood, prepare
from qytet_simulators.device.live import LiveView, account
from qytet_simulators.device.load import Load, write_load
from qytet_simulators.device.play import Conduct, play
from qytet_simulators.device.session import Manners
from qytet_simulators.device.stop import StopWish
from qytet_simulators.device.town import Plan
from qytet_simulators.faults import QUIET, load_scenario, sample_scenarios
from qytet_simulators.fuzz import Fuzzer, load_vectors, parcels, recorded
from qytet_simulators.hardware.commands import node
from qytet_simulators.instruments.commands import instruments
from qytet_simulators.known import known_address
from qytet_simulators.oracle import OracleWriter, expected_rows

__all__ = ["app"]

app = typer.Typer(help="Simulated devices that honour the contract.", no_args_is_help=True)
app.command()(instruments)
app.command()(node)

_CITY = typer.Option(list(CITIES), "--city", help="Which cities; repeat it for several.")
_DEVICES = typer.Option(None, min=1, help="Scale the fleet to so many devices.")
_FOLDER = typer.Option(None, exists=True, file_okay=False, help="Folder of CITY.toml files of your own.")
_JSON = typer.Option(False, "--json", help="Machine-readable output.")
_BROKER = typer.Option(
    "", help="mqtt://user:password@host:port; default: [broker] url, else the embedded one."
)
_CA = typer.Option(None, help="CA that signed the broker's certificate (mqtts).")
_RUN = typer.Option("", help="Name that boot ids are made from; default: a new one each time.")


@app.command()
def city(
    cities: list[str] = _CITY,
    devices: int | None = _DEVICES,
    fleet_dir: Path | None = _FOLDER,
    connections: int = typer.Option(3, min=0, help="Connections that share the devices; 0: one a device."),
    interval: float | None = typer.Option(None, min=0.1, help="Seconds between reports, for all devices."),
    speed: float = typer.Option(1.0, min=0.01, help="Simulated seconds a second; never ahead of the clock."),
    start: datetime | None = typer.Option(
        None, help="Simulated UTC start; default: now, or earlier if fast."
    ),
    duration: float | None = typer.Option(None, min=0, help="Seconds to run; default: until Ctrl-C."),
    settle: float = typer.Option(30.0, min=0, help="Seconds to wait at the end for `stored` marks."),
    seed: int = typer.Option(1, help="What is measured follows from it."),
    run: str = _RUN,
    scenario: str = typer.Option("", help="Scenario file, or the name of a sample."),
    oracle: Path | None = typer.Option(None, dir_okay=False, help="File for everything that was made."),
    broker: str = _BROKER,
    ca_file: Path | None = _CA,
    stats_file: Path | None = typer.Option(None, dir_okay=False, help="File for a JSON line each second."),
    capacity: int = typer.Option(10_000, min=1, help="Records that a device can hold."),
    resend_after: float = typer.Option(5.0, min=0.1, help="Seconds without a mark until a record is resent."),
    window: int = typer.Option(200, min=1, max=60_000, help="Messages in flight on a connection."),
    mqtt5: bool = typer.Option(False, "--mqtt5", help="Speak MQTT 5 instead of 3.1.1."),
    persistent: bool = typer.Option(
        False, "--persistent", help="Keep the broker's session between connections."
    ),
    resend: bool = typer.Option(
        True, help="--no-resend: devices that trust a PUBACK, to see what that loses."
    ),
    as_json: bool = _JSON,
) -> None:
    """Simulate the devices of cities until Ctrl-C; then wait until all that was accepted is stored.

    Exit code 1 if the server has not accounted for every record in the end.
    """
    plan = Plan(
        fleet=_fleet(cities, devices, fleet_dir, interval),
        start_ms=_start_ms(start, speed, duration),
        run=run or secrets.token_hex(4),
        seed=seed,
        speed=speed,
        scenario=load_scenario(scenario) if scenario else QUIET,
        capacity=capacity,
        patience=Patience(resend_after, max(resend_after, 60.0)),
        faithful=resend,
    )
    conduct = Conduct(
        known_address(broker, ca_file),
        connections,
        Manners(window=window, mqtt5=mqtt5, persistent=persistent),
        duration,
        settle,
        oracle,
        stats_file,
    )
    with LiveView(plan.fleet, enabled=not as_json) as view:
        last = play(plan, conduct, view.update)
    _print(last, as_json, account(last))
    if last["unmarked"] or (resend and last["unsettled"]):
        raise typer.Exit(1)


@app.command()
def describe(
    cities: list[str] = _CITY,
    devices: int | None = _DEVICES,
    fleet_dir: Path | None = _FOLDER,
    as_json: bool = typer.Option(
        True, "--json/--table", help="JSON for `qytet device register`, or a table."
    ),
) -> None:
    """Print the description of the fleet that the registry reads."""
    found = description(_fleet(cities, devices, fleet_dir, None))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for device in found["devices"]:
        typer.echo(f"{device['device']:28} {device['city']:10} {device['site']:28} {device['profile']}")


@app.command()
def scenario(
    check: str = typer.Option("", "--check", help="Scenario file, or the name of a sample, to check."),
    as_json: bool = _JSON,
) -> None:
    """List the sample scenarios, or check one and say what it holds."""
    if not check:
        _print({"scenarios": sample_scenarios()}, as_json, "\n".join(sample_scenarios()))
        return
    found = load_scenario(check)
    kinds = [fault.__class__.__name__.lower() for fault in found.fault]
    text = f"{found.name}: {found.about}\n{len(kinds)} faults: {', '.join(kinds) or 'none'}"
    _print({"name": found.name, "about": found.about, "faults": kinds}, as_json, text)


@app.command(name="flood")
def flood_command(
    records: int = typer.Option(100_000, min=1, help="Records in all."),
    devices: int = typer.Option(100, min=1, help="Devices that send them."),
    readings: int = typer.Option(6, min=1, max=64, help="Readings in a record."),
    batch: int = typer.Option(1, min=1, max=1000, help="Records in a message; more than 1 makes it `hist`."),
    city_name: str = typer.Option("tirana", "--city", help="City of the devices."),
    prefix: str = typer.Option(
        "flood", help="What device names begin with; another for each run in one database."
    ),
    run: str = _RUN,
    connections: int = typer.Option(2, min=1, max=256, help="Connections that share the devices."),
    window: int = typer.Option(2000, min=1, max=60_000, help="Messages in flight on a connection."),
    rate: float | None = typer.Option(
        None, min=0.1, help="Messages a second in all; default: as fast as it goes."
    ),
    marks: bool = typer.Option(
        False, "--marks", help="Honour the contract: resend until all is marked as stored."
    ),
    resend_after: float = typer.Option(5.0, min=0.1, help="Seconds without progress until it is sent again."),
    deadline: float = typer.Option(600.0, min=1, help="Seconds after which it ends in any case."),
    oracle: Path | None = typer.Option(None, dir_okay=False, help="File for every record, written first."),
    broker: str = _BROKER,
    describe_only: bool = typer.Option(
        False, "--describe", help="Print the devices for the registry; send nothing."
    ),
    as_json: bool = _JSON,
) -> None:
    """Send a bounded load of valid records as fast as the broker takes it, and measure.

    Exit code 1 if a message has no PUBACK in the end, or, with --marks, a record has no mark.
    """
    load = Load(records, devices, readings, batch, city_name, run or secrets.token_hex(4), prefix=prefix)
    if describe_only:
        typer.echo(json.dumps(load.description(), ensure_ascii=False))
        return
    address = known_address(broker, None)
    parts = prepare(load, connections)
    if oracle:
        with OracleWriter(oracle) as writer:
            write_load(writer, load)
    with StopWish() as stop:
        found = flood(parts, address, Pace(window, rate, marks, resend_after, deadline), stop)
    _print(asdict(found) | {"run": load.run}, as_json, _flood_account(found))
    if found.unacked or (marks and found.unmarked):
        raise typer.Exit(1)


@app.command()
def fuzz(
    count: int = typer.Option(10_000, min=1, max=5_000_000, help="Malformed messages in all, no two alike."),
    seed: int = typer.Option(1, help="The same seed makes the same messages."),
    cities: list[str] = _CITY,
    vectors: Path | None = typer.Option(
        None, exists=True, file_okay=False, help="Folder of golden messages to spoil."
    ),
    connections: int = typer.Option(1, min=1, max=64, help="Connections that share the messages."),
    window: int = typer.Option(500, min=1, max=60_000, help="Messages in flight on a connection."),
    rate: float | None = typer.Option(
        None, min=0.1, help="Messages a second in all; default: as fast as it goes."
    ),
    deadline: float = typer.Option(600.0, min=1, help="Seconds after which it ends in any case."),
    oracle: Path | None = typer.Option(None, dir_okay=False, help="File for every message, written first."),
    broker: str = _BROKER,
    as_json: bool = _JSON,
) -> None:
    """Send messages that the contract refuses, in the names of the fleet's devices: each is one dead letter."""
    address = known_address(broker, None)
    fuzzer = Fuzzer(
        seed,
        [(one.city, one.name) for one in load_fleet(cities).devices],
        load_vectors(vectors) if vectors else (),
    )
    with ExitStack() as stack:
        writer = stack.enter_context(OracleWriter(oracle)) if oracle else None
        stop = stack.enter_context(StopWish())
        packed = parcels(recorded(fuzzer.messages(count), writer), connections, f"fuzz-{seed}")
        found = flood(packed, address, Pace(window, rate, deadline_s=deadline), stop)
    last = asdict(found) | {"reasons": dict(fuzzer.reasons), "recipes": dict(fuzzer.recipes)}
    reasons = ", ".join(f"{name} {number:,}" for name, number in fuzzer.reasons.most_common())
    _print(last, as_json, f"{found.acked:,} malformed messages in {found.seconds:.2f} s: {reasons}.")
    if found.unacked:
        raise typer.Exit(1)


def _flood_account(found: FloodResult) -> str:
    text = (
        f"{found.records:,} records with {found.readings:,} readings in {found.messages:,} messages: "
        f"{found.seconds:.2f} s to the last PUBACK, {found.messages_per_s:,.0f} messages/s, "
        f"{found.readings_per_s:,.0f} readings/s.\n"
        f"{found.resent:,} messages resent, {found.unacked:,} without PUBACK"
    )
    return text + (f", all marked after {found.marked_s:.2f} s." if found.marked_s is not None else ".")


@app.command()
def expect(
    oracles: list[Path] = typer.Argument(exists=True, dir_okay=False, help="Oracle files of a run."),
) -> None:
    """Print every value that the database must hold: a JSON array of device, key, Unix ms and value a line."""
    for row in expected_rows(*oracles):
        sys.stdout.write(json.dumps([row.device, row.key, row.t_ms, row.value]) + "\n")


def _fleet(cities: list[str], devices: int | None, folder: Path | None, interval: float | None) -> Fleet:
    fleet = load_fleet(cities, folder=folder)
    fleet = fleet.scale(devices) if devices else fleet
    return fleet.paced(1.0, interval, interval) if interval else fleet


def _start_ms(start: datetime | None, speed: float, duration: float | None) -> int:
    """A run that is faster than the clock begins in the past, so that it never overtakes it."""
    now_ms = int(time.time() * 1000)
    if start is None:
        lead_s = (duration or 86_400.0) * speed if speed > 1 else 0.0
        return now_ms - int(lead_s * 1000)
    if start.tzinfo is None:
        start = start.replace(tzinfo=UTC)
    start_ms = int(start.timestamp() * 1000)
    if start_ms > now_ms:
        raise InputError(
            "--start lies in the future.", do="Devices measure the past: give an earlier instant."
        )
    return start_ms


def _print(data: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        typer.echo(json.dumps(data, ensure_ascii=False))
    else:
        Console(file=sys.stdout, highlight=False, soft_wrap=True).print(text, markup=False)
