"""`make bench-edge`: a 72 h outage's backlog drains through the gateway while live records keep coming.

    python -m tests.bench.edge [--records N] [--live RATE] [--rates R,…] [--json FILE]

The gateway (spool and uplink, tests.bench.gateway) is a process of its own; it shares this machine's processors
with Mosquitto, one ingest worker and TimescaleDB with fsync on. The backlog is one instrument's, its times spread
over 72 h; the live records are another's, so that their marks show when each was committed: from `put` to the
city's mark as the gateway sees it, the rounds of marks (250 ms) included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.gateway import BACKLOG, CITY, KEYS, LIVE
from tests.bench.rig import Rig, Worker, rig

HOURS = 72
RECORDS = 260_000  # about one a second for 72 h
WANTED_RATE, WANTED_P99_S = 1000.0, 2.0
NO_LIMIT = 1_000_000.0

_COUNTED = """
    select coalesce(sum(received), 0), coalesce(sum(missing + dropped), 0) from qytet.delivery
    where device = %(device)s
"""


def drain(rig: Rig, folder: Path, records: int, live: float, rate: float) -> dict[str, Any]:
    """Fill a spool, connect it, wait until all is marked; what the gateway measured, checked against the database."""
    run = f"bench-{time.monotonic_ns() % 10**9}"
    rig.register(_description(run))
    rig.broker.add_users([run])
    rig.broker.wait_for_user(run)
    plan = {
        "folder": str(folder),
        "gateway": run,
        "url": rig.broker.url(run),
        "records": records,
        "live": live,
        "rate": rate,
        "start_ms": int(time.time() * 1000) - HOURS * 3_600_000,
        "step_ms": HOURS * 3_600_000 // records,
    }
    command = [sys.executable, "-m", "tests.bench.gateway", json.dumps(plan)]
    with Worker.run(rig, {}, folder / "worker.log"), (folder / "gateway.log").open("wb") as log:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, check=False)
    if done.returncode:
        raise SystemExit((folder / "gateway.log").read_text()[-3000:])
    found: dict[str, Any] = json.loads(done.stdout)
    for device, wanted in ((BACKLOG, records), (LIVE, found["live_records"])):
        received, missing = _ledger(rig, f"{run}-{device}")
        if (received, missing) != (wanted, 0):
            raise SystemExit(f"{device}: {received} of {wanted} records stored, {missing} missing")
    return {"limit": rate, **found}


def _description(run: str) -> dict[str, list[dict[str, Any]]]:
    from qytet_simulators.city.fleet import load_fleet
    from qytet_simulators.device.describe import city_row, device_row, site_row

    fleet = load_fleet([CITY])
    site = fleet.sites[0]
    devices = [device_row(run, site, "gateway", KEYS)]
    devices += [
        {**device_row(f"{run}-{name}", site, "instrument", KEYS), "gateway": run} for name in (BACKLOG, LIVE)
    ]
    return {"cities": [city_row(fleet.cities[0])], "sites": [site_row(site)], "devices": devices}


def _ledger(rig: Rig, device: str) -> tuple[int, int]:
    row = rig.connection.execute(_COUNTED, {"device": device}).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def report(found: dict[str, Any]) -> str:
    """One drain in words, beside what is asked for."""
    rate, live, alone = found["records_per_s"], found["live"], found["alone"]
    limit = f"at most {found['limit']:,.0f}/s" if found["limit"] < NO_LIMIT else "without a limit"
    return (
        f"  backfill {limit}: {rate:,.0f} records/s, {rate / WANTED_RATE:.1f} times what is asked for; "
        f"{found['messages']:,} messages, {found['resent']:,} records resent\n"
        f"    live, put to mark: {_delays(live)}; p99 is {live['p99'] / WANTED_P99_S:.2f} of what is allowed; "
        f"without a backlog {_delays(alone)}\n"
        f"    memory: {found['memory_mb_before']:.0f} MB at the beginning, at most {found['memory_mb']:.0f} MB"
    )


def _delays(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in shares.items())


def main() -> int:
    """Drain at the default limit, and once without; exit code 1 if it was too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS, help="records of the backlog")
    parser.add_argument("--live", type=float, default=50.0, help="live records a second")
    parser.add_argument(
        "--rates", default=f"2000,{NO_LIMIT:.0f}", help="limits of backfill, records a second"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    found = []
    print(
        f"{options.records:,} records of {HOURS} h drain while {options.live:.0f} live ones come a second:",
        flush=True,
    )
    with rig() as servers:
        for rate in map(float, options.rates.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                found.append(drain(servers, Path(folder), options.records, options.live, rate))
            print(report(found[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    good = all(one["records_per_s"] >= WANTED_RATE and one["live"]["p99"] < WANTED_P99_S for one in found)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
