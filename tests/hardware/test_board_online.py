"""Hours of a node's line to the city, over TLS to a real broker, pass in seconds, and nothing is lost on the way."""

import json
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from qytet_simulators.hardware.flash import FlashFile
from tests.core.mqtt_client import Client
from tests.hardware.bench import filesystem, install
from tests.hardware.conftest import MakeBoard
from tests.hardware.node import modules, put
from tests.servers.mosquitto import MosquittoServer

NODE = "node-1"
NEEDS = ("records", "segments", "backlog", "clock", "mqtt", "uplink", "sntp")
MAIN = """
import asyncio, json, machine, network, os, random, socket, ssl, time
from qytet_node import sntp
from qytet_node.backlog import Backlog
from qytet_node.clock import Clock
from qytet_node.uplink import Uplink

with open("/given.json") as file:
    given = json.load(file)
wlan = network.WLAN(network.STA_IF)
clock = Clock(time.ticks_ms, time.ticks_diff, 1700000000000)


class Link:
    async def up(self):
        wlan.active(True)
        if not wlan.isconnected() and wlan.status() != network.STAT_CONNECTING:
            wlan.connect("qytet-bench", "bench-password")
        for _ in range(300):
            if wlan.isconnected():
                return
            await asyncio.sleep_ms(100)
        raise OSError("no network")

    async def open(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_mode = ssl.CERT_REQUIRED
        with open("/ca.der", "rb") as file:
            context.load_verify_locations(cadata=file.read())
        return await asyncio.open_connection("broker.test", 8883, ssl=context, server_hostname="localhost")


async def known():
    while not clock.is_set:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        mark = os.urandom(8)
        sock.sendto(sntp.question(mark), socket.getaddrinfo("time.test", 123, 0, socket.SOCK_DGRAM)[0][-1])
        await asyncio.sleep_ms(500)
        try:
            clock.set(sntp.answer(sock.recv(48), mark), "ntp")
        except OSError:
            pass
        sock.close()


async def main():
    boot = "%08x" % random.getrandbits(30)
    backlog = Backlog("/data", boot, 1000000, 16384)
    line = Uplink(given["about"], Link(), clock, backlog, lambda ident, payload: None, known)
    task = asyncio.create_task(line.run())
    for _ in range(given["minutes"]):
        await asyncio.sleep(60)
        t, tq = clock.now()
        seq, one = backlog.append(t, clock.up(), tq, {"pm2_5": 12})
        line.offer(seq, one)
    await asyncio.sleep(600)
    print("depth", backlog.depth, "dropped", backlog.dropped, "end")


asyncio.run(main())
"""


class City(Client):
    """Tells the node at once that everything it sent is stored; `seen` counts each record's arrivals."""

    def __init__(self, broker: MosquittoServer) -> None:
        self.seen: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()
        super().__init__(broker, "ingest", "city")
        self.subscribe(f"qytet/v1/tirana/{NODE}/+")

    def _on_message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        kind = message.topic.rpartition("/")[2]
        if kind not in ("obs", "hist"):
            return
        said = json.loads(message.payload)
        rows = said["r"] if kind == "hist" else [[said["seq"]]]
        with self._lock:
            for row in rows:
                self.seen[(said["boot"], row[0])] = self.seen.get((said["boot"], row[0]), 0) + 1
        mark = {"v": 1, "boot": said["boot"], "seq": rows[-1][0]}
        self.mqtt.publish(f"qytet/v1/tirana/{NODE}/stored", json.dumps(mark), 1)


@pytest.mark.servers
def test_an_hour_online_takes_seconds(
    make_board: MakeBoard, flash: FlashFile, mosquitto_tls: MosquittoServer, tmp_path: Path
) -> None:
    """60 records, one a virtual minute, reach the broker once each over verified TLS, and the backlog empties."""
    minutes = 60
    mosquitto_tls.add_users([NODE])
    mosquitto_tls.wait_for_user(NODE)
    about = {"city": "tirana", "device": NODE, "user": NODE, "password": mosquitto_tls.password(NODE)}
    about |= {"fw": "0.1.0", "board": "test"}
    given = {"about": {**about, "ds": [["pm2_5", "ug/m3"]]}, "minutes": minutes}
    install(flash, {"main.py": MAIN, "given.json": json.dumps(given)})
    authority = x509.load_pem_x509_certificate(mosquitto_tls.ca_file.read_bytes())
    with filesystem(flash) as files:
        put(files, modules(tmp_path, NEEDS))
        put(files, [("/ca.der", authority.public_bytes(Encoding.DER))])
    with City(mosquitto_tls) as city:
        assert mosquitto_tls.tls_port is not None
        board = make_board(None, hosts={"broker.test": ("127.0.0.1", mosquitto_tls.tls_port)})
        board.power_on()
        board.console.wait_for("depth 0 dropped 0 end", 60)
    assert sorted(seq for _, seq in city.seen) == list(range(1, minutes + 1))
    assert set(city.seen.values()) == {1}
    assert board.internet.connections == 1
