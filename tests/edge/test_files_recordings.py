"""Real recordings through the whole gateway, from growing files to the database: each value arrives once."""

import csv
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from qytet.db import registry
from qytet.db.migrate import connect, migrate
from qytet.embedded import EmbeddedPostgres
from qytet_contract import topics
from qytet_simulators.replay.expect import expected
from qytet_simulators.replay.mapping import load
from tests.edge.chaos_gateway import GatewayProcess
from tests.flow.workers import Worker
from tests.servers.database import fresh_database
from tests.servers.mosquitto import MosquittoServer
from tests.simulators.replay_support import recordings
from tests.simulators.test_replay_recordings import SPOTS, utc_ms

CITY, GATEWAY = "tirana", "recorder-gw"
WHOLE = {
    "uci_air_quality": "uci-air-station",
    "river": "river-flow",
    "nab_temperature": "nab-office-temperature",
}
LOOP_ROWS = 12
Key = tuple[str, str, int]

SOURCES = """
[[source]]
kind = "file"
name = "air"
path = "uci_air_quality.csv"
device = "uci-air-station"
poll_s = 0.2
time = { column = "Datetime", format = "%d/%m/%Y %H:%M:%S", zone = "+01:00" }
column = [
  { column = "CO(GT)", key = "co", unit = "mg/m3" },
  { column = "NO2(GT)", key = "no2" },
  { column = "T", key = "air_temperature", unit = "Cel" },
  { column = "RH", key = "relative_humidity" },
]

[[source]]
kind = "file"
name = "main"
path = "river.csv"
device = "river-flow"
poll_s = 0.2
time = { column = "Time" }
column = [{ column = "Water flow [l/s]", key = "water_flow_rate", unit = "L/s" }]

[[source]]
kind = "file"
name = "office"
path = "nab_temperature.csv"
device = "nab-office-temperature"
poll_s = 0.2
time = { column = "timestamp", format = "%Y-%m-%d %H:%M:%S", zone = "+00:00" }
column = [{ column = "value", key = "air_temperature", unit = "[degF]" }]

[[source]]
kind = "file"
name = "loops"
path = "loops.csv"
poll_s = 0.2
time = { column = "at", zone = "America/Los_Angeles" }
column = [{ match = '\\d{6}', device = "la-loop-{column}", key = "vehicle_speed_mean", scale = 1.609344 }]
"""

CONFIGURATION = """
[gateway]
city = "tirana"
name = "recorder-gw"
data_dir = "state"

[uplink]
url = "mqtt://127.0.0.1:{port}"
password_file = "password"
backfill_rate = 20000

[spool]
commit_ms = 0

[health]
interval_s = 3600
"""

_STORED = """
select device, key, (extract(epoch from phenomenon_time) * 1000)::bigint, value from qytet.reading
where device = any(%(devices)s)
"""
_COUNT = "select count(*) from qytet.reading where device = any(%(devices)s)"
_DEAD = "select count(*) from qytet.dead_letter where replayed_at is null and device = any(%(devices)s)"


class Recording(NamedTuple):
    """A file as its instrument writes it, line by line, and every value that must be stored."""

    name: str
    lines: list[str]
    values: dict[Key, float]


def whole(name: str, data: Path) -> Recording:
    """A recording as it is; what must be stored is read by the replay's own reader, which shares no code with ours."""
    source = load(name).source[0]
    text = (data / source.path).read_text(encoding="utf-8")
    values = {
        (one.device, one.key, one.t_ms): one.value
        for one in expected(load(name), data)
        if one.key != "benzene"  # in this copy its blanks were turned into zeros
    }
    return Recording(name, text.splitlines(keepends=True), values)


def loops(data: Path) -> Recording:
    """The first rows of the detectors, which have no stamps: the logger writes them, five minutes apart."""
    with (data / "los_loop" / "los_speed_days1-5.csv").open(newline="") as file:
        table = list(csv.reader(file))[: LOOP_ROWS + 1]
    start = datetime(2012, 3, 1, tzinfo=ZoneInfo("America/Los_Angeles"))
    lines, values = [",".join(["at", *table[0]]) + "\n"], {}
    for number, row in enumerate(table[1:]):
        at = start + timedelta(minutes=5) * number
        lines.append(",".join([at.strftime("%Y-%m-%dT%H:%M"), *row]) + "\n")
        for detector, mph in zip(table[0], row, strict=True):
            t_ms = round(at.timestamp() * 1000)
            values[f"la-loop-{detector}", "vehicle_speed_mean", t_ms] = float(mph) * 1.609344
    return Recording("loops", lines, values)


class Ledger:
    """What the database holds; looks again whenever the city says that something is stored."""

    def __init__(
        self, connection: psycopg.Connection[Any], broker: MosquittoServer, devices: list[str]
    ) -> None:
        self.devices = devices
        self._connection = connection
        self._marked = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set("ingest", broker.password("ingest"))
        marks = topics.topic(CITY, "+", topics.STORED, gateway=GATEWAY)
        self._client.on_connect = lambda client, *_: client.subscribe(marks, 1)
        self._client.on_message = lambda *_: self._marked.set()
        self._client.connect("127.0.0.1", broker.port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def one(self, query: str) -> int:
        row = self._connection.execute(query.encode(), {"devices": self.devices}).fetchone()
        return int(row[0]) if row else 0

    def wait_for(self, count: int, gateway: GatewayProcess) -> None:
        """Return when so many readings are stored; fail when nothing was marked for a minute and a half."""
        while True:
            self._marked.clear()  # before the look: what is marked after it ends the wait
            if (found := self.one(_COUNT)) >= count:
                return
            heard = self._marked.wait(90)
            assert heard or self.one(_COUNT) > found, f"{found} of {count} are stored; {gateway.tail()}"

    def stored(self) -> Iterator[tuple[str, str, int, float]]:
        with self._connection.cursor() as cursor:
            cursor.execute(_STORED, {"devices": self.devices})
            yield from cursor


def register(connection: psycopg.Connection[Any], values: Mapping[Key, float]) -> list[str]:
    """Register the gateway and every device behind it; their service began with the oldest recording."""
    streams: dict[str, set[str]] = {}
    for device, key, _t_ms in values:
        streams.setdefault(device, set()).add(key)
    place = {"city": CITY, "site": "here", "profile": "recorder", "valid_from": "2000-01-01T00:00:00Z"}
    devices = [
        place | {"device": device, "gateway": GATEWAY, "datastreams": sorted(keys)}
        for device, keys in sorted(streams.items())
    ]
    own = place | {"device": GATEWAY, "datastreams": ["uptime"]}
    where = {"lat": 41.3, "lon": 19.8}
    city = {"city": CITY, "name": "Tirana", "time_zone": "Europe/Tirane", **where}
    site = {"city": CITY, "site": "here", "name": "Here", **where}
    registry.register(
        connection, registry.parse({"cities": [city], "sites": [site], "devices": [own, *devices]})
    )
    return sorted(streams)


def write(folder: Path, recording: Recording, start: float, end: float, *, cut: int = 0) -> None:
    """Append a part of a recording's lines (from and to a share of them), without its last `cut` characters."""
    first, last = (round(len(recording.lines) * share) for share in (start, end))
    with (folder / f"{recording.name}.csv").open("a", encoding="utf-8") as file:
        text = "".join(recording.lines[first:last])
        file.write(text[: len(text) - cut])
        file.flush()


def finish(folder: Path, recording: Recording, at: float, cut: int) -> None:
    """Write what `write` cut off."""
    last = round(len(recording.lines) * at)
    with (folder / f"{recording.name}.csv").open("a", encoding="utf-8") as file:
        file.write(recording.lines[last - 1][-cut:])


@pytest.fixture
def parts(
    private_mosquitto: MosquittoServer, postgres_server: EmbeddedPostgres
) -> Iterator[tuple[MosquittoServer, str, psycopg.Connection[Any]]]:
    """A broker and an empty database."""
    with fresh_database(postgres_server) as url, connect(url) as connection:
        migrate(connection)
        private_mosquitto.add_users([GATEWAY])
        private_mosquitto.wait_for_user(GATEWAY)
        yield private_mosquitto, url, connection


@pytest.mark.servers
def test_real_recordings_arrive_whole_and_once(
    parts: tuple[MosquittoServer, str, psycopg.Connection[Any]], tmp_path: Path
) -> None:
    """Files that grow while the gateway reads them, half lines and a `kill -9` among it: each value is stored once."""
    data = recordings()
    broker, url, connection = parts
    found = [*(whole(name, data) for name in WHOLE), loops(data)]
    wanted = {key: value for recording in found for key, value in recording.values.items()}
    devices = register(connection, wanted)
    (tmp_path / "password").write_text(broker.password(GATEWAY) + "\n")
    config = tmp_path / "qytet-edge.toml"
    config.write_text(CONFIGURATION.format(port=broker.port) + SOURCES)
    for recording in found:
        write(tmp_path, recording, 0, 0.3, cut=5)
    with ExitStack() as stack:
        stack.enter_context(Worker(url, broker.url("ingest"), tmp_path))
        ledger = stack.enter_context(Ledger(connection, broker, devices))
        gateway = stack.enter_context(GatewayProcess(config, tmp_path / "state", tmp_path / "gateway.log"))
        ledger.wait_for(1000, gateway)
        for recording in found:
            finish(tmp_path, recording, 0.3, 5)
            write(tmp_path, recording, 0.3, 0.6, cut=3)
        gateway.kill()  # and it comes back
        for recording in found:
            finish(tmp_path, recording, 0.6, 3)
            write(tmp_path, recording, 0.6, 1)
        ledger.wait_for(len(wanted), gateway)
        assert gateway.stop() == 0
        assert gateway.exits == []
        stored = {(device, key, t_ms): value for device, key, t_ms, value in ledger.stored()}
        assert ledger.one(_COUNT) == len(stored) == len(wanted)
        assert stored.keys() == wanted.keys()
        wrong = {key for key, value in wanted.items() if not math.isclose(stored[key], value, rel_tol=1e-9)}
        assert wrong == set()
        assert ledger.one(_DEAD) == 0
    for name, device in WHOLE.items():
        for spot, key, instant, value in SPOTS[name]:
            if spot == device and key != "benzene":
                assert stored[device, key, utc_ms(instant)] == pytest.approx(value), (device, key, instant)
