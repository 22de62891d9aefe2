"""Everything around the gateway in a chaos run: two brokers, the city's ingest, a bad line, a disk that fills up."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qytet.db import registry
from qytet.db.migrate import connect, migrate
from qytet_simulators.device.load import Load
from qytet_simulators.instruments.link import CLEAR, MODEM, ThreadedLink
from tests.edge.chaos_actors import Filler, Killer
from tests.edge.chaos_gateway import GatewayProcess
from tests.edge.chaos_load import CountingBus, GrowingFile
from tests.edge.chaos_plan import Deed, Weather, plan
from tests.flow.workers import Worker
from tests.servers.mosquitto import MosquittoServer

__all__ = ["GATEWAY", "Chaos", "Disk", "World", "small_disk"]

CITY, GATEWAY, FILE, METER, NODES = "tirana", "chaos-gw", "chaos-file", "chaos-meter", "node"
COUNTER = "sensor_errors_total:count"
HEALTH = (
    "backlog_records",
    "dropped_records_total",
    "storage_used",
    "memory_free",
    "processor_load",
    "uptime",
    "reset_cause",
    "board_temperature",
    "supply_undervoltage",
    "bytes_written_total",
    "flash_wear",
    "clock_offset",
    *(f"sensor_errors_total:{name}" for name in ("street", "file", "bus")),
)


@dataclass(frozen=True)
class Chaos:
    """How much, for how long (s), and by which seed; rates are records a second."""

    seed: int
    seconds: float
    node_rate: float = 170.0
    file_rate: float = 30.0
    bus_rate: float = 25.0
    nodes: int = 30


class Disk:
    """A small file system of its own for the spool; without the right to mount one, a plain folder that never fills."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder = folder
        self.mounted = mounted
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Take all the room that is left."""
        if not self.mounted:
            return
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    """A tmpfs of so many megabytes while the block lasts, if we may mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield Disk(folder, mounted=mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@dataclass
class World:
    """The parts; made by `World.begin`."""

    chaos: Chaos
    load: Load
    url: str
    city_broker: MosquittoServer
    local_broker: MosquittoServer
    link: ThreadedLink
    disk: Disk
    worker: Worker
    gateway: GatewayProcess
    file: GrowingFile
    bus: CountingBus
    sender: "subprocess.Popen[bytes]"
    done: Counter[str] = field(default_factory=Counter)

    @classmethod
    def begin(
        cls,
        chaos: Chaos,
        url: str,
        brokers: tuple[MosquittoServer, MosquittoServer],
        folder: Path,
        stack: ExitStack,
    ) -> "World":
        """Start everything; `stack` ends it."""
        city, local = brokers
        city.add_users([GATEWAY])
        city.wait_for_user(GATEWAY)
        run = f"{NODES}{chaos.seed}"
        records = int(chaos.node_rate * chaos.seconds)
        load = Load(records, devices=chaos.nodes, readings=1, run=run, prefix=run)
        with connect(url) as connection:
            migrate(connection)
            registry.register(connection, registry.parse(_description(load)))
        disk = stack.enter_context(small_disk(folder / "disk", 64))
        link = stack.enter_context(ThreadedLink("127.0.0.1", city.port, seed=chaos.seed))
        worker = Worker(url, city.url("ingest"), folder)
        stack.callback(worker.kill)
        worker.start().wait_ready()
        bus = stack.enter_context(CountingBus())
        file = stack.enter_context(GrowingFile(folder / "air.csv", chaos.file_rate))
        config = _configure(chaos, folder, disk, link, bus, city, local)
        gateway = stack.enter_context(GatewayProcess(config, disk.folder, folder / "gateway.log"))
        gateway.wait(lambda state: state["uplink"]["connected"], "the gateway connects", 90)
        sender = _sender(chaos, load, local.url("simulator"), folder)
        stack.callback(sender.kill)
        return cls(chaos, load, url, city, local, link, disk, worker, gateway, file, bus, sender)

    def play(self, weather: Weather) -> None:
        """Let everything happen at once, for as long as it shall last; at the end all is well again."""
        until = time.monotonic() + self.chaos.seconds
        killer = Killer(self.gateway, self.done, self.chaos.seed, weather.gateway, until)
        filler = Filler(self.disk, self.gateway, self.done, self.chaos.seed, weather.disk, until)
        with killer, filler:
            self._carry_out(plan(self.chaos.seed, self.chaos.seconds, weather))
            time.sleep(max(0.0, until - time.monotonic()))
        self.disk.free()
        self._clear()

    def _carry_out(self, deeds: list[Deed]) -> None:
        acts: dict[str, Callable[[], object]] = {
            "take city broker": self.city_broker.kill,
            "give city broker": self.city_broker.start,
            "take ingest": self.worker.kill,
            "give ingest": self.worker.start,
            "take local broker": self.local_broker.kill,
            "give local broker": self.local_broker.start,
            "link cut": self.link.cut,
            "link stall": self.link.stall,
            "link refuse": self.link.refuse,
            "link modem": lambda: self.link.behave(MODEM),
            "link clear": self._clear,
        }
        began = time.monotonic()
        for deed in deeds:
            time.sleep(max(0.0, began + deed.at - time.monotonic()))  # the moment is the point
            acts[deed.what]()
            self.done[deed.what] += 1

    def settle(self) -> dict[str, Any]:
        """Stop what is read, and wait until the gateway has passed everything on; its last account."""
        self.file.stop()
        account = self._account()
        self._wait_for_file()
        self.bus.stop()
        return account | self.gateway.wait(
            lambda state: state["uplink"]["connected"] and state["spool"]["records"] == 0,
            "the spool is empty",
            90,
        )

    def _clear(self) -> None:
        self.link.behave(CLEAR)
        self.link.resume()
        self.link.accept()

    def _account(self) -> dict[str, Any]:
        """What the nodes say once all their records are marked."""
        output, _ = self.sender.communicate(timeout=120)
        assert self.sender.returncode == 0, "the nodes gave up"
        found: dict[str, Any] = json.loads(output)
        return {"nodes": found}

    def _wait_for_file(self) -> None:
        deadline, found = time.monotonic() + 90, -1
        with connect(self.url) as connection:
            while time.monotonic() < deadline:
                row = connection.execute(_COUNT, {"device": FILE}).fetchone()
                found = int(row[0]) if row else 0
                if found >= len(self.file.rows):
                    return
                time.sleep(0.2)
        raise AssertionError(f"{found} of {len(self.file.rows)} rows of the file came; {self.gateway.tail()}")


_COUNT = "select count(*) from qytet.reading where device = %(device)s"


def _sender(chaos: Chaos, load: Load, url: str, folder: Path) -> "subprocess.Popen[bytes]":
    names = ("records", "devices", "readings", "run", "prefix", "start_ms")
    arguments = {name: getattr(load, name) for name in names}
    arguments |= {"rate": chaos.node_rate, "url": url, "seconds": chaos.seconds + 90}
    command = [sys.executable, "-m", "tests.edge.chaos_nodes", json.dumps(arguments)]
    with (folder / "sender.log").open("wb") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=Path(__file__).parents[2])


def _description(load: Load) -> dict[str, Any]:
    """The nodes and our instruments behind the gateway, and the gateway itself."""
    found: dict[str, Any] = load.description()
    site = found["devices"][0]["site"]
    for device in found["devices"]:
        device["gateway"] = GATEWAY
    for name, keys, gateway in (
        (GATEWAY, HEALTH, None),
        (FILE, ("pm2_5",), GATEWAY),
        (METER, (COUNTER,), GATEWAY),
    ):
        found["devices"].append(
            {
                "device": name,
                "city": CITY,
                "site": site,
                "profile": "chaos",
                "gateway": gateway,
                "datastreams": list(keys),
            }
        )
    return found


def _configure(
    chaos: Chaos,
    folder: Path,
    disk: Disk,
    link: ThreadedLink,
    bus: CountingBus,
    city: MosquittoServer,
    local: MosquittoServer,
) -> Path:
    (folder / "city-secret").write_text(city.password(GATEWAY))
    (folder / "local-secret").write_text(local.password("ingest"))
    (folder / "counter.toml").write_text(_MAP)
    path = folder / "gateway.toml"
    path.write_text(
        _CONFIG.format(
            data=disk.folder,
            city_port=link.port,
            local_port=local.port,
            bus_port=bus.port,
            every_s=1 / chaos.bus_rate,
        )
    )
    return path


_MAP = f"""
title = "A register that counts its reads"
source = "tests/edge/chaos_load.py"
order = "ABCD"

[[field]]
property = "{COUNTER.partition(":")[0]}"
channel = "{COUNTER.partition(":")[2]}"
function = 4
address = 0
type = "u16"
unit = "{{event}}"
"""

_CONFIG = f"""
[gateway]
city = "{CITY}"
name = "{GATEWAY}"
data_dir = "{{data}}"

[uplink]
url = "mqtt://127.0.0.1:{{city_port}}"
password_file = "city-secret"
resend_s = 2

[spool]
commit_ms = 50

[clock]
trust = "host"

[health]
interval_s = 1

[[source]]
kind = "nodes"
name = "street"
url = "mqtt://127.0.0.1:{{local_port}}"
user = "ingest"
password_file = "local-secret"
devices = ["{NODES}*"]

[[source]]
kind = "file"
name = "file"
path = "air.csv"
device = "{FILE}"
poll_s = 0.2
time = {{{{ column = "time_ms", format = "unix_ms" }}}}
column = [{{{{ column = "pm2_5", key = "pm2_5" }}}}]

[[source]]
kind = "modbus-tcp"
name = "bus"
host = "127.0.0.1"
port = {{bus_port}}
timeout_s = 60
unit = [{{{{ address = 1, map = "counter.toml", device = "{METER}", every_s = {{every_s}} }}}}]
"""
