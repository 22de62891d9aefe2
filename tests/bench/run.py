"""`make bench`: end to end from many devices to the commit, beside the database's own COPY, in one run.

    python -m tests.bench.run [--scale PART] [--rows N] [--json FILE]

Everything shares this machine's processors: publisher, Mosquitto, ingest and TimescaleDB.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.copy import copy_rate, fill
from tests.bench.latency import latencies
from tests.bench.rig import Rig, Worker, rig

LOADS = {1: (1000, 250_000), 6: (1000, 1_000_000), 30: (200, 1_500_000)}
"""Readings a message: devices, and readings in all."""
BYTES_A_ROW = 110
"""On disk, with its index entry and a part of the WAL."""


@dataclass(frozen=True)
class Measured:
    """One end-to-end figure: readings stored, their rate, the worker's CPU time a reading and its peak memory."""

    readings_a_message: int
    readings: int
    readings_per_s: float
    worker_cpu_us: float
    worker_memory_mb: float


def end_to_end(rig: Rig, log: Path, per_message: int, scale: float) -> Measured:
    """Publish a load as fast as it goes, until every record is marked stored; the clock runs from the first packet."""
    devices, readings = LOADS[per_message]
    records = max(devices, int(readings * scale) // per_message)
    run = f"b{per_message}-{time.monotonic_ns() % 10**9}"
    command = [sys.executable, "-m", "tests.bench.publish", str(records), str(devices), str(per_message), run]
    with subprocess.Popen(
        [*command, rig.broker.url("simulator")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        rig.register(json.loads(load.stdout.readline()))
        before = rig.count()
        with Worker.run(rig, {}, log) as worker:
            cpu, peak = worker.cpu_seconds(), Peak(worker)
            load.stdin.write(b"go\n")
            load.stdin.flush()
            result = json.loads(load.stdout.readline())
            memory, cpu = peak.stop(), worker.cpu_seconds() - cpu
    stored = rig.count() - before
    if result["unmarked"] or stored != result["readings"]:
        raise SystemExit(
            f"{result['readings']} readings sent, {stored} stored, {result['unmarked']} records unmarked"
        )
    rate = stored / result["marked_s"]
    return Measured(per_message, stored, rate, cpu / stored * 1e6, memory)


class Peak:
    """The highest resident memory of a worker, looked at four times a second."""

    def __init__(self, worker: Worker) -> None:
        self._worker, self._peak, self._over = worker, worker.memory_mb(), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.25):
            self._peak = max(self._peak, self._worker.memory_mb())

    def stop(self) -> float:
        """End looking; MB."""
        self._over.set()
        self._thread.join()
        return self._peak


def measure(rig: Rig, log: Path, scale: float, age_days: int) -> dict[str, Any]:
    """COPY, end to end at each size of message, COPY again; ratios are to the mean of both COPYs.

    The COPYs' readings are dated `age_days` ago, so that those of two measurements do not meet.
    """
    streams = _copy_streams(rig)
    then_ms = int(time.time() * 1000) - age_days * 86_400_000
    size = int(1_000_000 * scale)
    copies = [copy_rate(rig.connection, streams, size, then_ms)]
    print(f"  COPY, binary, one stream            {copies[0]:10,.0f} readings/s", flush=True)
    measured = []
    for per_message in LOADS:
        measured.append(end_to_end(rig, log, per_message, scale))
        _say(measured[-1])
    copies.append(copy_rate(rig.connection, streams, size, then_ms + 43_200_000))
    print(f"  COPY again                          {copies[1]:10,.0f} readings/s", flush=True)
    limit = statistics.mean(copies)
    found = {one.readings_a_message: {**asdict(one), "ratio": one.readings_per_s / limit} for one in measured}
    ratios = ", ".join(f"{one['ratio']:.2f} at {size}" for size, one in found.items())
    print(f"  end to end as a part of COPY (mean of both): {ratios} readings a message", flush=True)
    return {"copy_readings_per_s": limit, "end_to_end": found}


def _copy_streams(rig: Rig) -> list[int]:
    from qytet_simulators.device.load import Load

    rig.register(Load(6000, devices=1000, readings=6, run="copy", prefix="copy").description())
    query = "select datastream_id from qytet.datastream where device like 'copy-%' order by 1"
    return [row[0] for row in rig.connection.execute(query).fetchall()]


def _say(one: Measured) -> None:
    print(
        f"  end to end, {one.readings_a_message:2} readings a message   {one.readings_per_s:10,.0f} readings/s"
        f"   (worker: {one.worker_cpu_us:.1f} us a reading, at most {one.worker_memory_mb:.0f} MB)",
        flush=True,
    )


def main() -> int:
    """Measure on a small table, and on a large one if --rows asks for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the usual number of readings")
    parser.add_argument(
        "--rows", type=int, default=100_000_000, help="load so many rows, then measure again; 0: do not"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    with rig() as servers, tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "worker.log"
        found: dict[str, Any] = {"rows_before": 0}
        print("On an empty table (about a million readings a figure):", flush=True)
        found["small"] = measure(servers, log, options.scale, age_days=40)
        rate = found["small"]["end_to_end"][6]["readings_per_s"] / 10
        found["latency_ms"] = latencies(servers, log, rate)
        print(f"  publish to commit at a tenth of the load: {_percentiles(found['latency_ms'])}", flush=True)
        if options.rows:
            found |= large(servers, log, options)
            print(_compared(found), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0


def large(servers: Rig, log: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The same on a table that holds `--rows` rows already, or as many as the disk has room for."""
    rows = min(options.rows, int(shutil.disk_usage(tempfile.gettempdir()).free * 0.6 / BYTES_A_ROW))
    if rows < options.rows:
        print(f"The disk has room for {rows / 1e6:.0f} million rows only.", flush=True)
    print(f"Loading {rows / 1e6:.0f} million rows …", flush=True)
    began = time.monotonic()
    fill(servers.connection, _copy_streams(servers), rows, int(time.time() * 1000) - 50 * 86_400_000)
    print(
        f"  took {time.monotonic() - began:.0f} s; the table holds {servers.count() / 1e6:.0f} million",
        flush=True,
    )
    return {"rows_before": rows, "large": measure(servers, log, options.scale, age_days=30)}


def _compared(found: dict[str, Any]) -> str:
    """The large table's rates as a part of the small one's."""
    small, big = found["small"]["end_to_end"], found["large"]["end_to_end"]
    parts = (f"{big[n]['readings_per_s'] / small[n]['readings_per_s']:.2f} at {n}" for n in small)
    return f"Large table as a part of the small one: {', '.join(parts)} readings a message"


def _percentiles(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f} ms" for name, value in found.items())


if __name__ == "__main__":
    sys.exit(main())
