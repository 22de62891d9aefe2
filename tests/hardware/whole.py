"""The whole node of a profile on a simulated board: its image, its surroundings, the broker, and a city that marks."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from qytet_bench.layout import board_files
from qytet_bench.program import SOURCE, Program
from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.profiles import Surroundings, surroundings
from qytet_simulators.hardware.wires import Pace
from tests.core.mqtt_client import Client
from tests.hardware.bench import filesystem
from tests.hardware.node import put
from tests.servers.mosquitto import MosquittoServer

BOARD = "esp32-devkitc"
_HOST = "broker.test"
_PACE = Pace(patience_s=2.5)
"""Longer than a busy machine keeps the broker from answering: the board's time would fly by meanwhile."""


def profile_of(name: str) -> dict[str, Any]:
    """A profile as it is shipped."""
    found: dict[str, Any] = json.loads((SOURCE / "profiles" / f"{name}.json").read_text())
    return found


class City(Client):
    """Hears one node, tells it at once (`marks`) that all is stored, and keeps what it said: `records` by boot."""

    def __init__(self, broker: MosquittoServer, device: str, *, marks: bool = True) -> None:
        self._marks = marks
        self.records: dict[str, dict[int, dict[str, Any]]] = {}
        self.births: list[dict[str, Any]] = []
        self.logs: list[dict[str, Any]] = []
        self.answers: dict[str, str] = {}
        self._device, self._came = device, threading.Condition()
        super().__init__(broker, "ingest", f"city of {device}")
        self.subscribe(f"qytet/v1/tirana/{device}/#")

    def wait_until(self, condition: Callable[[], bool], deadline_s: float = 60) -> None:
        """Return when it holds; it is looked at whenever something came."""
        with self._came:
            assert self._came.wait_for(condition, deadline_s), (self.records, self.logs)

    def order(self, ident: str, name: str, now_ms: int, **args: Any) -> None:
        """Send a command; the node gets it when its time goes on, and `answers` has what it said to it."""
        payload = json.dumps({"v": 1, "cmd": name, "exp": now_ms + 600_000, "args": args})
        self.mqtt.publish(f"qytet/v1/tirana/{self._device}/cmd/{ident}", payload, 1).wait_for_publish(10)

    def _on_message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        kind = message.topic.split("/")[4]
        said = json.loads(message.payload) if kind in ("obs", "hist", "birth", "log", "ack") else {}
        with self._came:
            if kind == "obs":
                self._keep(said["boot"], said)
            elif kind == "hist":
                for seq, t, up, _, m in said["r"]:
                    self._keep(said["boot"], {"seq": seq, "t": t, "up": up, "m": m})
            elif kind == "birth":
                self.births.append(said)
            elif kind == "log":
                self.logs.append(said)
            elif kind == "ack":
                self.answers[message.topic.rsplit("/", 1)[1]] = said["s"]
            self._came.notify_all()

    def _keep(self, boot: str, record: dict[str, Any]) -> None:
        kept = self.records.setdefault(boot, {})
        kept.setdefault(record["seq"], record)
        if not self._marks:
            return
        whole = next(seq for seq in range(1, len(kept) + 2) if seq not in kept) - 1
        mark = json.dumps({"v": 1, "boot": boot, "seq": whole})
        self.mqtt.publish(f"qytet/v1/tirana/{self._device}/stored", mark, 1)


@dataclass
class Whole:
    """A node that is about to be powered."""

    board: Board
    city: City
    around: Surroundings
    profile: Mapping[str, Any]


@contextmanager
def whole_node(
    program: Program,
    flash: FlashFile,
    broker: MosquittoServer,
    name: str,
    *,
    tls: bool = False,
    report_s: int | None = None,
    on: str = BOARD,
    seed: int = 7,
    **options: Any,
) -> Iterator[Whole]:
    """The node `node-NAME` on a board, with all that its profile measures, not yet powered."""
    device, port = f"node-{name}", (broker.tls_port if tls else broker.port) or 0
    settings = {
        "v": 1,
        "city": "tirana",
        "device": device,
        "profile": name,
        "board": on,
        "wifi": {"ssid": "qytet-bench", "password": "bench-password"},
        "broker": {
            "host": _HOST,
            "port": port,
            "tls": tls,
            "name": "localhost",
            "user": device,
            "password": broker.password(device),
        },
        "ntp": ["time.test"],
        "keep_bytes": 600_000,
        "report_s": report_s,
    }
    etc = {"/etc/node.json": json.dumps(settings).encode()}
    if tls:
        authority = x509.load_pem_x509_certificate(broker.ca_file.read_bytes())
        etc["/etc/ca.der"] = authority.public_bytes(Encoding.DER)
    with filesystem(flash, fresh=True) as files:
        put(files, board_files(program, etc).items())
        files.makedirs("/data", exist_ok=True)
    profile = profile_of(name)
    around = surroundings(profile, json.loads((SOURCE / "boards" / f"{on}.json").read_text()), seed)
    hosts: dict[str | tuple[str, int], tuple[str, int]] = {_HOST: ("127.0.0.1", port)}
    with (
        City(broker, device) as city,
        Board(flash, around.wiring, hosts=hosts, pace=_PACE, **options) as board,
    ):
        yield Whole(board, city, around, profile)
