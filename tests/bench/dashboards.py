"""`make bench-dashboards`: every panel's query over 30 days of three cities, on real TimescaleDB, p50 and p95 of each.

The limit is set by people: a board of twenty panels is there in a moment if none takes more than 200 ms.
"""

import argparse
import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from qytet.db import registry, rollup
from qytet.db.migrate import connect, migrate
from qytet_ingest.rows import COPY_ROWS, Rows, copy_bytes
from qytet_simulators.city import CityModel, load_fleet
from qytet_simulators.city.fleet import Fleet
from qytet_simulators.city.model import Series
from qytet_simulators.device.describe import description
from tests.bench.rig import SETTINGS
from tests.dashboards.asking import Asker
from tests.dashboards.boards import Panel, twins
from tests.dashboards.grafana.expand import Context, expand
from tests.dashboards.grafana.span import span
from tests.servers.database import fresh_database
from tests.servers.timescale import TimescaleServer

DAYS = 30
LIMIT_MS = 200.0
DEVICES = 64
"""The three simulated cities as they are; more are copies of them."""
PACE = 2.0
"""Records every 2 minutes where the simulated city has 1, which makes 11 million readings of 30 days; lamps keep 15."""

_LATEST = """
insert into store.latest
select d.datastream_id, o.phenomenon_time, o.value, o.quality, o.time_quality
from store.datastream d cross join lateral (
    select * from store.observation o where o.datastream_id = d.datastream_id order by phenomenon_time desc limit 1) o
"""
_STATUS = """
insert into store.device_status (device_id, state, state_boot, state_at, boot, firmware, board, birth_at)
select device_id, 'ready', '0000000a', now(), '0000000a', '0.1.0', 'bench', now() - interval '30 days'
from store.device
"""
_LEDGER = """
insert into store.delivery (device_id, boot, received, first_seen, last_seen)
select device_id, '0000000a', int8multirange(int8range(1, 8641)), now() - interval '30 days', now()
from store.device
"""
_HOURS = """
insert into store.delivery_hour (hour, device_id, received, late, duplicate, rejected, dropped, missing, readings)
select date_trunc('hour', now(), 'UTC') - n * interval '1 hour', device_id, 12, n % 5, n % 3, n % 2, 0, 0, 120
from store.device cross join generate_series(0, 720) n
on conflict (device_id, hour) do update set received = excluded.received, readings = excluded.readings
"""
_FIGURES = """
insert into store.ingest_minute (worker, minute, messages, records, readings, duplicates, dead_letters, batches,
    commit_ms, commit_ms_max, lag_ms, lag_ms_max, window_used, window_size,
    memory_mb, disk_used, reconnects, last_commit)
select 'bench/0', minute, 40, 40, 420, 1, 0, 12, 114, 31, 3120, 640, 90000, 16000000, 61.5, 0.42, 0, minute
from generate_series(0, 43200) n, lateral (select date_trunc('minute', now()) - n * interval '1 minute' as minute) m
"""


@dataclass(frozen=True, slots=True)
class Timed:
    """A query's times in ms, one a run, and its rows; Grafana asks the queries of a panel at the same time."""

    name: str
    title: str
    ms: tuple[float, ...]
    rows: int

    def at(self, percent: float) -> float:
        """A percentile."""
        return float(np.percentile(self.ms, percent))


def main() -> None:
    """Build the cities, ask every panel, print the table."""
    options = _options()
    with contextlib.ExitStack() as stack:
        url = options.url or _filled(stack, options)
        with connect(url) as connection:
            row = connection.execute("select sum(total)::bigint from qytet.observation_day").fetchone()
            readings = int(row[0]) if row else 0
            found = _ask(connection, options.days, options.runs, options.only)
        code = _report(found, readings, options)
        if options.hold and not options.url:
            say(f"the server stays until Ctrl-C: --url '{url}'")
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()
    sys.exit(code)


def _filled(stack: contextlib.ExitStack, options: argparse.Namespace) -> str:
    """The URL of a new server's database with the cities in it."""
    began = time.monotonic()
    server = stack.enter_context(TimescaleServer(SETTINGS | {"jit": "off"}))
    url = stack.enter_context(fresh_database(server))
    with connect(url) as connection:
        migrate(connection)
        readings = _fill(connection, options.devices, options.days)
    say(f"{readings:,} readings of {options.days} days, made in {time.monotonic() - began:.0f} s")
    return url


def say(words: str) -> None:
    """Progress goes to stderr, so that --json stays clean."""
    print(words, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-dashboards", description=__doc__)
    parser.add_argument("--devices", type=int, default=DEVICES)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--runs", type=int, default=20, help="of each panel, after one that warms up")
    parser.add_argument("--only", default="", help="panels whose name begins so, e.g. air/")
    parser.add_argument("--hold", action="store_true", help="keep the server afterwards, until Ctrl-C")
    parser.add_argument("--url", default="", help="ask this database, which a run with --hold has filled")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    return parser.parse_args()


# ---- three cities


def _fill(connection: psycopg.Connection[Any], devices: int, days: int) -> int:
    fleet = _fleet(devices)
    registry.register(connection, registry.parse(description(fleet)))
    rows = connection.execute("select device, key, datastream_id from qytet.datastream").fetchall()
    ids = {(device, key): number for device, key, number in rows}
    model = CityModel(fleet, seed=7)
    end = int(datetime.now(UTC).timestamp()) * 1000
    count = 0
    for day in range(days, 0, -1):
        count += _day(connection, model.block(end - day * 86_400_000, end - (day - 1) * 86_400_000), ids)
        if day % 5 == 0:
            say(f"  … {count:,} readings, {day - 1} days to go")
    for statement in (_LATEST, _STATUS, _LEDGER, _HOURS, _FIGURES):
        connection.execute(statement.encode())
    while not rollup.refresh(connection, seconds=120).whole:
        say("  … rollups go on")
    connection.execute("vacuum analyze")
    return count


def _fleet(devices: int) -> Fleet:
    fleet = load_fleet().scale(devices)
    lamps = fleet.only(d.name for d in fleet.devices if d.profile.name == "lamp_controller")
    others = fleet.only(d.name for d in fleet.devices if d.profile.name != "lamp_controller").paced(PACE)
    return Fleet(fleet.cities, fleet.sites, others.devices + lamps.devices)


def _day(connection: psycopg.Connection[Any], series: list[Series], ids: dict[tuple[str, str], int]) -> int:
    count = 0
    with connection.transaction(), connection.cursor() as cursor, cursor.copy(COPY_ROWS) as copy:
        for number, part in enumerate(_parts(series, ids)):
            copy.write(copy_bytes(part)[0 if number == 0 else 19 : -2])
            count += len(part)
        copy.write(b"\xff\xff")
    return count


def _parts(series: list[Series], ids: dict[tuple[str, str], int]) -> Iterator[Rows]:
    """A device's day at a time; a value that could not be measured is stored as null."""
    for one in series:
        keys = list(one.columns)
        if not keys or not len(one.t_ms):
            continue
        size = len(one.t_ms)
        yield Rows(
            record=np.arange(size * len(keys)),
            stream=np.repeat([ids[one.device, key] for key in keys], size),
            time_us=np.tile(one.t_ms * 1000, len(keys)),
            value=np.concatenate([np.asarray(one.columns[key], dtype=np.float64) for key in keys]),
            quality=np.ones(size * len(keys), np.int16),
            time_quality=np.full(size * len(keys), 2, np.int16),
        )


# ---- the panels


def _ask(connection: psycopg.Connection[Any], days: int, runs: int, only: str) -> list[Timed]:
    now = datetime.now(UTC).replace(microsecond=0)
    asker = Asker(connection, now)
    found = []
    for name, both in twins():
        board, panel = both[0]  # languages differ in words only
        if panel.targets and name.startswith(only):
            context = asker.context(board, asker.filled(board), panel)
            wide = Context(
                span(f"now-{days}d", "now", now), context.variables, context.points, context.least_interval
            )
            for target in panel.targets:
                own = name if len(panel.targets) == 1 else f"{name}.{target['refId']}"
                query = expand(target["rawSql"], wide).sql.encode()
                found.append(_time(connection, own, panel, query, runs))
                say(f"  {own:28} p95 {found[-1].at(95):8.1f} ms   {panel.json.get('title', '')}")
    return found


def _time(connection: psycopg.Connection[Any], name: str, panel: Panel, query: bytes, runs: int) -> Timed:
    """As Grafana asks: the dashboards' role, read only, a fresh plan each time, all rows fetched."""
    times, rows = [], 0
    with connection.transaction(force_rollback=True):
        connection.execute("set transaction read only")
        connection.execute("set local role qytet_dashboards")
        for run in range(runs + 1):
            began = time.perf_counter()
            rows = len(connection.execute(query, prepare=False).fetchall())
            if run:
                times.append((time.perf_counter() - began) * 1000)
            if run == 3 and sum(times) > 30_000:
                break  # it is far too slow: three runs say so as well as twenty
    return Timed(name, str(panel.json.get("title", "")), tuple(times), rows)


def _report(found: list[Timed], readings: int, options: argparse.Namespace) -> int:
    """Print the table; the exit code."""
    slow = sorted(found, key=lambda one: one.at(95), reverse=True)
    over = [one for one in slow if one.at(95) > LIMIT_MS]
    every = np.array([one.at(95) for one in found])
    print(
        f"\n{len(found)} panels' queries over {options.days} days, {readings:,} readings, {options.devices} devices"
    )
    print(
        f"p95 of a query: median {np.median(every):.1f} ms, highest {every.max():.1f} ms; limit {LIMIT_MS:.0f} ms"
    )
    print(f"{len(over)} above the limit; the slowest ten:\n")
    print(f"{'panel':28} {'p50 ms':>8} {'p95 ms':>8} {'rows':>7}  title")
    for one in slow[:10]:
        print(f"{one.name:28} {one.at(50):8.1f} {one.at(95):8.1f} {one.rows:7}  {one.title}")
    if options.json:
        figures = [{"panel": o.name, "p50_ms": o.at(50), "p95_ms": o.at(95), "rows": o.rows} for o in slow]
        options.json.write_text(
            json.dumps({"readings": readings, "days": options.days, "panels": figures}, indent=1)
        )
    return 1 if over else 0


if __name__ == "__main__":
    main()
