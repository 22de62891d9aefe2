"""The node's line to the city, in the VM: to the database through a real broker and ingest, and against odd servers."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from qytet.db import registry
from qytet.db.migrate import connect, migrate
from qytet_contract import notices, records
from qytet_simulators.city.fleet import load_fleet
from qytet_simulators.device.describe import city_row, device_row, site_row
from tests.core.mqtt_client import Client
from tests.firmware.device import CONTRACT, DEVICE, run
from tests.flow.workers import Worker
from tests.servers.micropython import MicroPython
from tests.servers.mosquitto import MosquittoServer

LIFE = Path(__file__).parent / "vm" / "uplink_life.py"
NODE = "node-1"
START = 1_780_000_000_000
_STORED = """
    select ((extract(epoch from phenomenon_time) * 1000)::bigint - %(start)s) / 1000, value from qytet.reading
    where device = %(device)s order by 1
"""
_LEDGER = "select sum(received), sum(dropped), sum(missing) from qytet.delivery where device = %(device)s"


class City(Client):
    """Hears everything of the node, and waits for what it wants to hear."""

    def __init__(self, broker: MosquittoServer) -> None:
        self._came = threading.Condition()
        super().__init__(broker, "ingest", "city")
        self.subscribe(f"qytet/v1/tirana/{NODE}/+")

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when it holds; it is looked at whenever something came."""
        with self._came:
            assert self._came.wait_for(condition, 60), self.received

    def of(self, kind: str) -> list[dict[str, Any]]:
        """What came of one kind."""
        return [json.loads(payload) for topic, payload in self.received if topic.endswith(f"/{kind}")]

    def tell(self, payload: bytes = b"{}") -> None:
        """Send the node a command."""
        self.mqtt.publish(f"qytet/v1/tirana/{NODE}/cmd/c1", payload, 1).wait_for_publish(10)

    def _on_message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        with self._came:
            self.received.append((message.topic, bytes(message.payload)))
            self._came.notify_all()


@pytest.fixture
def broker(private_mosquitto: MosquittoServer) -> MosquittoServer:
    """A broker that knows the node."""
    private_mosquitto.add_users([NODE])
    private_mosquitto.wait_for_user(NODE)
    return private_mosquitto


def _live(vm: MicroPython, broker: MosquittoServer, folder: Path, **given: Any) -> list[Any]:
    """What one life said; see vm/uplink_life.py."""
    whole = {"port": broker.port, "user": NODE, "password": broker.password(NODE), "folder": str(folder)}
    folder.mkdir(exist_ok=True)
    settings = folder.parent / "life.json"  # an argument of the VM has 255 bytes at most
    settings.write_text(json.dumps(whole | given))
    done = vm.run(LIFE, str(settings), path=[DEVICE, CONTRACT], heap="220wK", timeout=180)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{said}\n{done.stderr.decode(errors='replace')}"
    assert "Traceback" not in said, said
    return [json.loads(line) for line in said.splitlines() if line]


def test_stored_once_across_kills_and_power_cuts(
    micropython: MicroPython, broker: MosquittoServer, postgres_url: str, tmp_path: Path
) -> None:
    """Whatever dies, the database holds each record that the flash took once and counts those dropped."""
    folder = tmp_path / "data"
    site = load_fleet(["tirana"]).sites[0]
    fleet = {
        "cities": [city_row(load_fleet(["tirana"]).cities[0])],
        "sites": [site_row(site)],
        "devices": [device_row(NODE, site, "air", ["pm2_5"])],
    }
    with connect(postgres_url) as connection, ThreadPoolExecutor(1) as pool:
        migrate(connection)
        registry.register(connection, registry.parse(fleet))
        offline = _live(micropython, broker, folder, first=0, count=400, until="offline", cap=9000)[-1]
        assert 0 < offline["dropped"] < 400
        with Worker(postgres_url, broker.url("ingest"), tmp_path) as worker:
            cut = pool.submit(
                _live, micropython, broker, folder, first=400, count=200, every_ms=12, until="cut"
            )
            _kill_twice(broker, worker)
            cut.result()
            last = _live(micropython, broker, folder, first=600, count=100, every_ms=2, until="stored")[-1]
        stored = connection.execute(_STORED, {"device": NODE, "start": START}).fetchall()
        received, dropped, missing = connection.execute(_LEDGER, {"device": NODE}).fetchone() or (0, 0, 0)
    assert last["depth"] == 0, last
    assert last["confirmed"] == 100
    assert last["dropped"] == offline["dropped"]
    kept = range(offline["dropped"], 700)
    assert [(int(n), int(value)) for n, value in stored] == [(n, n % 1000) for n in kept]
    assert (int(received), int(dropped), int(missing)) == (len(kept), offline["dropped"], 0)
    assert not list(folder.glob("*.seg"))


def _kill_twice(broker: MosquittoServer, worker: Worker) -> None:
    """Broker and ingest, while records are made; the moments are the point, and nobody awaits them."""
    pause = threading.Event()
    pause.wait(0.6)
    broker.kill()
    pause.wait(0.3)
    broker.start()
    pause.wait(0.5)
    worker.kill()
    broker.kill()
    broker.start()
    worker.start()


def test_a_burst_is_sent_from_the_flash(
    micropython: MicroPython, broker: MosquittoServer, tmp_path: Path
) -> None:
    """What does not fit into the memory for live records goes out as backfill, without waiting for marks."""
    with City(broker) as city, ThreadPoolExecutor(1) as pool:
        given = {"first": 0, "count": 60, "burst": True, "until": "told", "resend_ms": 60_000}
        life = pool.submit(_live, micropython, broker, tmp_path / "data", **given)
        city.wait_until(lambda: set(_sent(city)) == set(range(1, 61)))
        city.tell()
        said = life.result()
    assert said[-1]["overflowed"] == 60 - 16
    live = [json.loads(payload)["seq"] for topic, payload in city.received if topic.endswith("/obs")]
    assert live == list(range(1, 17)), "live first, in order"


_CITY = """
import asyncio, json, sys, time
from qytet_node import uplink
from qytet_node.backlog import Backlog
from qytet_node.clock import Clock
class City:
    # Instead of a client: a broker that takes everything; `on` hears of each message before it is acknowledged.
    said, on = [], None
    connected = True
    def __init__(self, *given, **more):
        pass
    async def connect(self):
        return False
    async def subscribe(self, filters):
        pass
    async def publish(self, topic, payload, qos=1, retain=False):
        kind = topic.rsplit("/", 1)[1]
        found = json.loads(payload)
        City.said.append([kind, found.get("seq", found.get("lo")), [row[0] for row in found.get("r", ())]])
        await asyncio.sleep_ms(1)
        City.on(kind)
    async def run(self, take):
        while True:
            await asyncio.sleep_ms(1000)
    async def close(self, politely=False):
        pass
class Link:
    async def up(self):
        pass
    open = None
async def known():
    pass
uplink.Client = City
about = {"city": "tirana", "device": "node-1", "user": "", "password": "", "fw": "1", "board": "b", "ds": lambda: "[]"}
clock = Clock(time.ticks_ms, time.ticks_diff, 0)
b = Backlog(sys.argv[1], "0000000a", 10**9)
line = uplink.Uplink(about, Link(), clock, b, None, known, 10)
def make():
    line.offer(*b.append(None, clock.up(), "none", {"uptime": 1}))
async def live(ended):
    running = asyncio.create_task(line.run())
    while not line.online:
        await asyncio.sleep_ms(1)
    make()
    until = time.ticks_ms() + 20000
    while not ended() and time.ticks_ms() < until:
        await asyncio.sleep_ms(5)
    running.cancel()
"""


def test_resending_in_the_middle_of_things_loses_nothing(micropython: MicroPython, tmp_path: Path) -> None:
    """Who orders everything again while a record is on its way breaks no connection, and what came after it is sent."""
    code = (
        _CITY
        + """
def on(kind):
    if kind == "obs" and b.seq == 1:
        line.again()
        make()
City.on = on
asyncio.run(live(lambda: ["obs", 2, []] in City.said and line.attempts))
print(json.dumps([line.attempts, line.why, ["obs", 2, []] in City.said]))
"""
    )
    assert run(micropython, code, str(tmp_path)) == [[1, "", True]]


def test_it_introduces_itself_and_tells_what_is_lost(
    micropython: MicroPython, broker: MosquittoServer, tmp_path: Path
) -> None:
    """Birth and state are valid, dropped records are told by `lo`, and the end of the connection by the will."""
    lost = _live(micropython, broker, tmp_path / "data", first=0, count=300, until="offline", cap=5000)[-1]
    with City(broker) as city, ThreadPoolExecutor(1) as pool:
        life = pool.submit(_live, micropython, broker, tmp_path / "data", first=300, count=1, until="told")
        city.wait_until(lambda: any(topic.endswith("/hist") for topic, _ in city.received))
        city.tell()
        life.result()
        city.wait_until(lambda: any(b'"lost"' in payload for _, payload in city.received))
        told = city.of("hist")
        for one in told:
            assert records.check_hist(one) == []
    assert told[0] == {"v": 1, "boot": lost["boot"], "lo": lost["dropped"] + 1, "r": []}
    birth = city.of("birth")[0]
    notices.check_birth(birth)
    assert birth["boot"] != lost["boot"]
    assert birth["lo"] == 1
    assert [state["s"] for state in city.of("state")] == ["ready", "lost"]


def test_marks_that_stay_away_are_not_waited_for(
    micropython: MicroPython, broker: MosquittoServer, tmp_path: Path
) -> None:
    """Without a mark everything is sent again; marks of nonsense, or beyond what was made, do no harm."""
    mark = f"qytet/v1/tirana/{NODE}/stored"
    with City(broker) as city, ThreadPoolExecutor(1) as pool:
        life = pool.submit(
            _live, micropython, broker, tmp_path / "data", first=0, count=5, until="stored", resend_ms=300
        )
        city.wait_until(lambda: len(_sent(city)) >= 10)
        boot = city.of("birth")[0]["boot"]
        for odd in (
            b"\xff",
            b"[]",
            b'{"v":1,"boot":"00000000","seq":9}',
            b'{"v":1,"boot":"%s"}' % boot.encode(),
        ):
            city.mqtt.publish(mark, odd, 1)
        city.tell()
        city.mqtt.publish(mark, json.dumps(notices.stored(boot, 99)), 1).wait_for_publish(10)
        said = life.result()
    assert _sent(city)[:10] == [1, 2, 3, 4, 5] * 2
    assert said[0] == ["cmd", "c1", "{}"]
    assert said[-1]["depth"] == 0
    assert said[-1]["confirmed"] == 5
    assert said[-1]["connections"] == 1


def _sent(city: City) -> list[int]:
    """Numbers of records in the order in which they came."""
    found = []
    for topic, payload in list(city.received):
        if topic.endswith("/obs"):
            found.append(json.loads(payload)["seq"])
        elif topic.endswith("/hist"):
            found += [row[0] for row in json.loads(payload)["r"]]
    return found
