"""A city's platform for acceptance: the real API on a real database, nodes in it as they should be or not, a broker."""

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import psycopg
import uvicorn
from pydantic import SecretStr

from qytet.catalogue import properties
from qytet.db.migrate import migrate
from qytet.db.registry import parse, register
from qytet.deploy import tls
from qytet.settings import ApiSettings, DatabaseSettings, Settings
from qytet_api.app import create_app
from qytet_bench.node import NodeSettings

__all__ = ["BOOT", "TOKEN", "City", "TlsPort", "serving"]

TOKEN = "a-token-for-tests-only"
BOOT = "9f3a01c2"
_PLACES = {
    "cities": [
        {"city": "tirana", "name": "Tirana", "time_zone": "Europe/Tirane", "lat": 41.33, "lon": 19.82}
    ],
    "sites": [
        {"city": "tirana", "site": "skenderbej", "name": "Sheshi Skënderbej", "lat": 41.33, "lon": 19.82},
        {"city": "tirana", "site": "lana", "name": "Lumi <Lana>", "lat": 41.32, "lon": 19.82},
    ],
}


@dataclass
class Stands:
    """How a node stands in the database; what is not said is as it should be."""

    site: str = "skenderbej"
    state: str = "ready"
    firmware: str = "0.1.0"
    board: str = "esp32-devkitc"
    heard_s: float = 5.0
    booted_s: float = 3600.0
    age_s: float = 4.0
    without: tuple[str, ...] = ()
    """Keys that are registered and have never come."""
    unregistered: tuple[str, ...] = ()
    values: dict[str, float | None] = field(default_factory=dict)
    ages: dict[str, float] = field(default_factory=dict)
    quality: int = 1
    time_quality: int = 2
    received: str = "{[1,13)}"
    rejected: str = "{}"
    undated: int = 0


class City:
    """`url` is the API's address."""

    def __init__(self, url: str, connection: psycopg.Connection[Any]) -> None:
        self.url, self.connection = url, connection
        self.now = datetime.now(UTC)

    def node(self, node: NodeSettings, **changes: Any) -> None:
        """Register a node and store what it has said."""
        how = Stands(**changes)
        keys = [key for key in node.kind.datastreams if key not in how.unregistered]
        device = {
            "device": node.device,
            "city": "tirana",
            "site": how.site,
            "profile": node.profile,
            "datastreams": keys,
        }
        register(self.connection, parse({**_PLACES, "devices": [device]}))
        now = datetime.now(UTC)
        heard = now - timedelta(seconds=how.heard_s)
        self.connection.execute(
            "insert into store.device_status (device_id, state, state_at, boot, firmware, board, birth_at)"
            " select device_id, %s, %s, %s, %s, %s, %s from store.device where name = %s",
            (how.state, heard, BOOT, how.firmware, how.board, heard, node.device),
        )
        self.connection.execute(
            "insert into store.delivery (device_id, boot, received, rejected, first_seen, last_seen)"
            " select device_id, %s, %s::int8multirange, %s::int8multirange, %s, %s"
            " from store.device where name = %s",
            (BOOT, how.received, how.rejected, now - timedelta(seconds=how.booted_s), heard, node.device),
        )
        self.connection.execute(
            "insert into store.undated (device_id, boot, seq, up_ms, m)"
            " select device_id, %s, n, n * 1000, '{}' from store.device, generate_series(1, %s) n where name = %s",
            (BOOT, how.undated, node.device),
        )
        for key in keys:
            if key not in how.without:
                self._reading(node.device, key, how, now)

    def _reading(self, device: str, key: str, how: Stands, now: datetime) -> None:
        value = how.values.get(key, _usual(key))
        newest = now - timedelta(seconds=how.ages.get(key, how.age_s))
        ((stream,),) = self.connection.execute(
            "select datastream_id from qytet.datastream where device = %s and key = %s", (device, key)
        ).fetchall()
        for when in (newest - timedelta(minutes=20), newest):
            self.connection.execute(
                "insert into store.observation (phenomenon_time, value, datastream_id, quality, time_quality)"
                " values (%s, %s, %s, %s, %s)",
                (when, value, stream, how.quality, how.time_quality),
            )
        self.connection.execute(
            "insert into store.latest values (%s, %s, %s, %s, %s)",
            (stream, newest, value, how.quality, how.time_quality),
        )

    def refuse(self, device: str, reason: str) -> None:
        """A message of the device lies among the dead letters."""
        self.connection.execute(
            "insert into store.dead_letter (digest, topic, payload, reason, device)"
            " values (sha256(%s::bytea), %s, %s, %s, %s)",
            (device.encode(), f"qytet/v1/tirana/{device}/obs", b"{}", reason, device),
        )


def _usual(key: str) -> float:
    """A plausible value."""
    name = key.partition(":")[0]
    special = {"rssi": -61.0, "backlog_records": 1.0, "uptime": 3600.0, "sensor_errors_total": 0.0}
    if name in special:
        return special[name]
    row = properties()[name]
    return max(row.suspect_min, min(row.suspect_max, (row.suspect_min + row.suspect_max) / 2))


@contextlib.contextmanager
def serving(database: str) -> Iterator[City]:
    """The API on a free port, with an operator's token, in a thread of its own."""
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(database), pool_size=2),
        api=ApiSettings(operator_token=SecretStr(TOKEN)),
    )
    with (
        psycopg.connect(database, autocommit=True) as connection,
        socket.create_server(("127.0.0.1", 0)) as door,
    ):
        migrate(connection)
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[door])), name="api")
        thread.start()
        try:
            yield City(f"http://127.0.0.1:{door.getsockname()[1]}", connection)
        finally:
            server.should_exit = True
            thread.join(60)


class TlsPort:
    """A TLS listener with a certificate for these hosts; a context manager. It shakes hands, and that is all."""

    def __init__(self, folder: Path, authority: tls.Pair, hosts: list[str], *, plain: bool = False) -> None:
        made = tls.server(authority, hosts)
        (folder / "server.pem").write_bytes(made.certificate + made.key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.pem")
        self._plain, self._ends = plain, False
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="tls port")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends = True
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        self._thread.join(60)
        self._door.close()

    def _run(self) -> None:
        while not self._ends:
            line, _ = self._door.accept()
            line.settimeout(5)
            with line, contextlib.suppress(OSError):
                if self._plain:
                    line.sendall(b"220 no TLS here\r\n" * 4)
                    line.recv(1024)
                else:
                    with self._context.wrap_socket(line, server_side=True) as safe:
                        safe.recv(1)


def as_json(path: Path) -> dict[str, Any]:
    """A record."""
    found = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found
