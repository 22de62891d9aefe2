"""One run of the demo: start everything, watch, stop in order, and give account."""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from qytet.demo import servers
from qytet.demo.account import Lived, account
from qytet.demo.children import Part, Parts
from qytet.demo.compare import compare, database_now
from qytet.demo.figures import Reader, last_line
from qytet.demo.folder import DemoFolder, claimed, page_url
from qytet.demo.options import Options, api_port
from qytet.demo.probe import Prober, latest_visible, observation_visible
from qytet.demo.summary import Summary, write
from qytet.demo.view import View
from qytet.demo.wishes import Wishes
from qytet.embedded import StartError
from qytet.embedded._process import tail
from qytet.embedded.ports import LOOPBACK, free_port
from qytet.errors import ServerError
from qytet.settings import Settings

__all__ = ["run"]

_SETTLE_S = 30.0  # s that simulators wait for marks of what they made
_STOP_S = 20.0  # s that a service gets to stop in order
_FIRST_S = 60.0  # s until the first figures of the simulators
_LOOK_S = 1.0  # s between two looks at figures and children


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the parts of a run share once the servers are up; the two files are settings of children."""

    options: Options
    folder: DemoFolder
    wishes: Wishes
    console: Console
    pair: servers.Pair
    parts: Parts
    api_port: int
    ingest_port: int
    for_services: Path
    for_devices: Path


def run(options: Options, settings: Settings, console: Console) -> Summary:
    """Run the demo until its end and write the account. Raises QytetError, and KeyboardInterrupt if hurried."""
    began = time.monotonic()
    with Wishes() as wishes, claimed(settings.data_dir) as folder:
        folder.forget()
        port = api_port(options.port, settings.api.port, console)
        _say(console, "Starting the database and the broker ...")
        with _servers(options, folder, wishes, console, settings) as (pair, description):
            stage = _stage(options, folder, wishes, console, settings, pair, port)
            since = database_now(pair.postgres.url)
            lived = _live(stage, description, began)
            _say(console, "Comparing what the devices accepted with what the database holds ...")
            verdict = compare(pair.postgres.url, folder.oracle, stage.for_devices, since)
        summary = account(options, lived, verdict, since)
        write(summary, folder.summary)
        return summary


@contextlib.contextmanager
def _servers(
    options: Options, folder: DemoFolder, wishes: Wishes, console: Console, settings: Settings
) -> Iterator[tuple[servers.Pair, bytes]]:
    """Both servers, and the fleet's description, which takes about as long to make."""
    bare = servers.write_settings(folder, "devices.toml", settings)
    with ThreadPoolExecutor(1, thread_name_prefix="demo-fleet") as thread:
        description = thread.submit(servers.describe_fleet, bare, options.fleet)
        with servers.running(folder, wishes, lambda text: _say(console, text)) as pair:
            yield pair, description.result()


def _stage(
    options: Options,
    folder: DemoFolder,
    wishes: Wishes,
    console: Console,
    settings: Settings,
    pair: servers.Pair,
    port: int,
) -> _Stage:
    ingest_port = free_port()
    for_services = servers.write_settings(
        folder,
        "services.toml",
        settings,
        database={"url": pair.postgres.url},
        broker={"url": pair.nats.url("ingest")},
        ingest={"http_port": ingest_port},
        api={"host": LOOPBACK, "port": port},
    )
    for_devices = servers.write_settings(
        folder, "devices.toml", settings, broker={"url": pair.nats.url("simulator")}
    )
    parts = Parts(folder, wishes, page_url(port))
    return _Stage(options, folder, wishes, console, pair, parts, port, ingest_port, for_services, for_devices)


@contextlib.contextmanager
def _services(stage: _Stage, description: bytes) -> Iterator[None]:
    """API and ingest, ready; ingest stops first. The API starts while the database is being migrated."""
    running = stage.parts.running
    with running("api", ["api", "serve"], stage.for_services, _STOP_S) as api:
        counts = servers.prepare(stage.pair, description)
        _say(
            stage.console,
            "Registered " + ", ".join(f"{count} {what}" for what, count in counts.items()) + ".",
        )
        with running("ingest", ["ingest", "run"], stage.for_services, _STOP_S) as ingest:
            ingest.await_answer(stage.ingest_port, "/ready", stage.wishes)
            api.await_answer(stage.api_port, "/v1/ready", stage.wishes)
            yield
            _say(stage.console, "Stopping ingest and the API ...")


def _live(stage: _Stage, description: bytes, began: float) -> Lived:
    """Everything runs from here until the end; returns when simulators, ingest and API have stopped."""
    folder = stage.folder
    visible = Prober(folder.oracle, stage.api_port, observation_visible, seed=1, ask_s=0.01)
    latest = Prober(folder.oracle, stage.api_port, latest_visible, seed=2, ask_s=0.05)
    with _services(stage, description):
        with _simulators(stage) as simulators:
            _await_first(stage, simulators)
            start_s = time.monotonic() - began
            _announce(stage, start_s)
            with visible.running(), latest.running():
                stage.wishes.ready()
                run_s = _watch(stage)
            _say(stage.console, "Stopping the devices; they wait until all that they accepted is stored ...")
        last = last_line(folder.stats)
    return Lived(start_s, run_s, last, visible, latest)


def _simulators(stage: _Stage) -> contextlib.AbstractContextManager[Part]:
    options = stage.options
    arguments: list[str | Path] = [
        *("simulate", "city", "--json", *options.fleet),
        *("--interval", str(options.interval_s), "--settle", str(_SETTLE_S)),
        *("--oracle", stage.folder.oracle, "--stats-file", stage.folder.stats),
        *(["--scenario", options.scenario] if options.scenario else []),
    ]
    return stage.parts.running("simulate", arguments, stage.for_devices, _SETTLE_S + _STOP_S)


def _await_first(stage: _Stage, simulators: Part) -> None:
    """Return when the simulators have connected and say their first figures."""
    deadline = time.monotonic() + _FIRST_S
    while not last_line(stage.folder.stats):
        stage.parts.check()
        if time.monotonic() > deadline:
            raise StartError(
                f"The simulated devices said nothing for {_FIRST_S:.0f} s.",
                do=f"See {simulators.log}.",
                log_tail=tail(simulators.log),
            )
        stage.wishes.stop.wait(0.05)


def _announce(stage: _Stage, start_s: float) -> None:
    url, console = page_url(stage.api_port), stage.console
    _say(console, f"Up after {start_s:.1f} s. Look at")
    for address, what in (
        (url, "the page"),
        (f"{url}v1/cities", "the API (its description: /openapi.json)"),
        (f"http://{LOOPBACK}:{stage.ingest_port}/metrics", "ingest's figures"),
        (str(stage.folder.log), "logs"),
    ):
        _say(console, f"  {address:42} {what}")
    duration = stage.options.duration_s
    _say(console, f"Ends by itself after {duration:g} s." if duration else "Ctrl-C stops it.")


def _watch(stage: _Stage) -> float:
    """Show the figures until asked to stop or until the time is up; seconds that it took."""
    began = time.monotonic()
    reader = Reader(stage.folder.stats, stage.ingest_port)
    duration = stage.options.duration_s or float("inf")
    with View(stage.console, page_url(stage.api_port)) as view:
        while not stage.wishes.stop.is_set() and (elapsed := time.monotonic() - began) < duration:
            stage.parts.check()
            _check_servers(stage.pair)
            view.show(reader.now(), elapsed)
            stage.wishes.stop.wait(max(min(_LOOK_S, duration - elapsed), 0.01))
    return time.monotonic() - began


def _check_servers(pair: servers.Pair) -> None:
    for server in (pair.postgres, pair.nats):
        if server.returncode is not None:
            log = next(server.data_dir.glob("*.log"), server.data_dir)
            raise ServerError(
                f"{server.name} ended by itself (exit code {server.returncode}), so the demo ends, too.",
                why=f"Its last words were:\n{tail(log)}\n",
                do=f"The whole log: {log}. What was stored is safe: start again.",
            )


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
