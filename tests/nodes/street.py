"""One node in a street: a simulated board and its sensors, and everything real behind its access point.

    board -- Wi-Fi -- TLS -- Mosquitto -- ingest -- PostgreSQL

The board runs the node's own files from flash. A witness, put between them and the prompt, tells of each record
when the node has accepted it: that is the account against which the database is held.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from qytet.db import registry
from qytet.db.migrate import connect, migrate
from qytet_bench import filesystem, layout
from qytet_bench.program import Program
from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.wiring import Wiring
from tests.flow.workers import Worker
from tests.nodes.marks import Marks, Watcher
from tests.servers.mosquitto import MosquittoServer

__all__ = [
    "CITY",
    "NODE",
    "PASSWORD",
    "SITE",
    "SSID",
    "UPDATE_HOST",
    "Made",
    "Street",
    "place",
    "register_node",
    "settings_files",
]

CITY, SITE, NODE = "tirana", "rruga-e-durresit", "node-1"
BROKER_HOST, TIME_HOST, UPDATE_HOST = "broker.qytet.test", "time.qytet.test", "updates.qytet.test"
SSID, PASSWORD = "qytet-bench", "bench-password"
WITNESS = """
def _witness():
    from qytet_node.app import Backlog

    kept = Backlog.append

    def append(self, t, up, tq, m):
        seq, row = kept(self, t, up, tq, m)
        print("accepted", self.boot, row.decode())
        return seq, row

    Backlog.append = append

_witness()
"""
_LAST_LINE = "    from qytet_node.app import main\n"


@dataclass(frozen=True)
class Made:
    """A record that the node has accepted."""

    boot: str
    seq: int
    t: int | None
    up: int
    values: Mapping[str, float | None]


def _certificate_der(broker: MosquittoServer) -> bytes:
    """The authority of the broker's certificate, as a board reads it."""
    return x509.load_pem_x509_certificate(broker.ca_file.read_bytes()).public_bytes(Encoding.DER)


def settings_files(broker: MosquittoServer, profile: str, **more: Any) -> dict[str, bytes]:
    """The files below /etc of the node."""
    document = {
        "v": 1,
        "city": CITY,
        "device": NODE,
        "profile": profile,
        "board": "esp32-devkitc",
        "wifi": {"ssid": SSID, "password": PASSWORD},
        "broker": {
            "host": BROKER_HOST,
            "port": 8883,
            "tls": True,
            "name": "localhost",
            "user": NODE,
            "password": broker.password(NODE),
        },
        "ntp": [TIME_HOST],
        **more,
    }
    return {"/etc/node.json": json.dumps(document).encode(), "/etc/ca.der": _certificate_der(broker)}


def with_witness(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same files, with a main.py that calls the witness between loading the program and starting it."""
    main = files["/main.py"].decode()
    assert main.count(_LAST_LINE) == 1, "main.py loads the program in another way now"
    indented = "".join(f"    {line}\n" if line else "\n" for line in WITNESS.strip().splitlines())
    return {**files, "/main.py": main.replace(_LAST_LINE, indented + _LAST_LINE).encode()}


class Street:
    """The parts, started; a context manager. `made` is the witness's account, `marks` the broker's view."""

    def __init__(
        self,
        flash: FlashFile,
        wiring: Wiring,
        broker: MosquittoServer,
        database_url: str,
        folder: Path,
        *,
        hosts: Mapping[str | tuple[str, int], tuple[str, int]] | None = None,
        **options: Any,
    ) -> None:
        self.flash, self.broker, self.database_url = flash, broker, database_url
        self.made: dict[tuple[str, int], Made] = {}
        self._read = 0
        self.marks = Marks(lambda: self.board.clock.now_us())
        self.watcher = Watcher(broker, self.marks, CITY, NODE)
        self.worker = Worker(database_url, broker.url("ingest"), folder)
        assert broker.tls_port is not None
        self.board = Board(
            flash,
            wiring,
            hosts={
                BROKER_HOST: ("127.0.0.1", broker.tls_port),
                TIME_HOST: ("127.0.0.1", 9),
                **(hosts or {}),
            },
            hold=self.marks.holds,
            **options,
        )
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.worker.kill)
            self.worker.start().wait_ready()
            stack.enter_context(self.watcher)
            stack.enter_context(self.board)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def install(self, program: Program, etc: Mapping[str, bytes]) -> None:
        """Write the flash as the bench does, with the witness."""
        files = with_witness(layout.board_files(program, etc))
        content = filesystem.image(filesystem.size_for(self.flash.size), files)
        self.flash.erase(filesystem.DATA_AT, len(content))
        self.flash.write(filesystem.DATA_AT, content)

    def take_account(self) -> None:
        """Add to `made` what the witness has told since; often enough that no event is forgotten (20,000)."""
        for event in self.board.events.all("line", self._read):
            self._read = event.number
            if event.facts["text"].startswith("accepted "):
                _, boot, row = event.facts["text"].split(" ", 2)
                seq, t, up, _quality, values = json.loads(row)
                self.made[boot, seq] = Made(boot, seq, t, up, values)

    def run_for(self, seconds: float) -> None:
        """Let so much of the board's time go by."""
        self.board.run_for(seconds, deadline_s=300)
        self.take_account()

    def run_until(self, done: Callable[[], bool], step_s: float, most_s: float, what: str) -> None:
        """Let the board's time go by in steps until that is so. Raises AssertionError after `most_s` of its time."""
        end = self.board.now_s() + most_s
        while not done():
            assert self.board.now_s() < end, (
                f"{what}: not within {most_s} s of the board's time\n{self.board.console.text[-3000:]}"
            )
            self.run_for(step_s)


def place() -> dict[str, Any]:
    """The city and the site, as the registry is told of them."""
    city = {"city": CITY, "name": "Tirana", "time_zone": "Europe/Tirane", "lat": 41.33, "lon": 19.82}
    site = {"city": CITY, "site": SITE, "name": "Rruga e Durrësit", "lat": 41.33, "lon": 19.81}
    return {"cities": [city], "sites": [site]}


def register_node(database_url: str, keys: Iterable[str], profile: str) -> None:
    """Tell the registry of the node and its datastreams."""
    device = {"device": NODE, "city": CITY, "site": SITE, "profile": profile, "datastreams": list(keys)}
    with connect(database_url) as connection:
        migrate(connection)
        registry.register(connection, registry.parse({**place(), "devices": [device]}))
