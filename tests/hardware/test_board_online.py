"""Half an hour of a node's line to the city, over TLS to a real broker, passes in seconds, and loses nothing."""

import json

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from qytet_simulators.hardware.flash import FlashFile
from tests.core.mqtt_client import Client
from tests.hardware.bench import filesystem, install
from tests.hardware.conftest import MakeBoard
from tests.hardware.node import SOURCE_HEAP_KB, put, sources
from tests.servers.mosquitto import MosquittoServer

NODE = "node-1"
MINUTES = 30
MAIN = """
import asyncio, json, network, os, socket, ssl, time
from qytet_node import sntp
from qytet_node.mqtt import Client

with open("/given.json") as file:
    given = json.load(file)
wlan = network.WLAN(network.STA_IF)
marks = []


async def join():
    wlan.active(True)
    wlan.connect("qytet-bench", "bench-password")
    while not wlan.isconnected():
        await asyncio.sleep_ms(100)


async def the_time():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    mark = os.urandom(8)
    sock.sendto(sntp.question(mark), socket.getaddrinfo("time.test", 123, 0, socket.SOCK_DGRAM)[0][-1])
    await asyncio.sleep_ms(500)
    try:
        return sntp.answer(sock.recv(48), mark)
    finally:
        sock.close()


async def stream():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    with open("/ca.der", "rb") as file:
        context.load_verify_locations(cadata=file.read())
    return await asyncio.open_connection("broker.test", 8883, ssl=context, server_hostname="localhost")


async def main():
    await join()
    start = await the_time()
    node = given["node"]
    client = Client(stream, node, node, given["password"])
    await client.connect()
    reading = asyncio.create_task(client.run(lambda topic, payload: marks.append(json.loads(payload)["seq"])))
    await client.subscribe(["qytet/v1/tirana/" + node + "/stored"])
    for seq in range(1, given["minutes"] + 1):
        await asyncio.sleep(60)
        await client.publish("qytet/v1/tirana/" + node + "/obs", json.dumps({"boot": "b", "seq": seq}))
        with open("/data", "a") as file:
            file.write("%d\\n" % seq)
    for _ in range(1200):  # whoever marks is no part of the bench, and may be slow
        if len(marks) == given["minutes"]:
            break
        await asyncio.sleep(1)
    took = await the_time() - start
    print("marks", len(marks), "last", marks[-1], "minutes", took // 60000, "end")


asyncio.run(main())
"""


class City(Client):
    """Tells the node at once that everything it sent is stored; `seen` counts each record's arrivals."""

    def __init__(self, broker: MosquittoServer) -> None:
        self.seen: dict[int, int] = {}
        super().__init__(broker, "ingest", "city")
        self.subscribe(f"qytet/v1/tirana/{NODE}/+")

    def _on_message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        kind = message.topic.rpartition("/")[2]
        if kind == "obs":
            said = json.loads(message.payload)
            self.seen[said["seq"]] = self.seen.get(said["seq"], 0) + 1
            mark = {"v": 1, "boot": said["boot"], "seq": said["seq"]}
            self.mqtt.publish(f"qytet/v1/tirana/{NODE}/stored", json.dumps(mark), 1)


@pytest.mark.servers
def test_half_an_hour_online_takes_seconds(
    make_board: MakeBoard, flash: FlashFile, mosquitto_tls: MosquittoServer
) -> None:
    """One message a virtual minute reaches the broker once, over verified TLS, and its mark comes back."""
    mosquitto_tls.add_users([NODE])
    mosquitto_tls.wait_for_user(NODE)
    given = {"node": NODE, "password": mosquitto_tls.password(NODE), "minutes": MINUTES}
    install(flash, {"main.py": MAIN, "given.json": json.dumps(given)})
    authority = x509.load_pem_x509_certificate(mosquitto_tls.ca_file.read_bytes())
    with filesystem(flash) as files:
        put(files, sources())
        put(files, [("/ca.der", authority.public_bytes(Encoding.DER))])
    with City(mosquitto_tls) as city:
        assert mosquitto_tls.tls_port is not None
        hosts = {"broker.test": ("127.0.0.1", mosquitto_tls.tls_port)}
        board = make_board(None, hosts=hosts, heap_kb=SOURCE_HEAP_KB)
        board.power_on()
        said = board.console.wait_for(" end\r\n", 40)
        assert f"marks {MINUTES} last {MINUTES} minutes" in said
        assert MINUTES <= int(said.split("minutes ")[1].split()[0]) <= MINUTES + 20
        assert city.seen == dict.fromkeys(range(1, MINUTES + 1), 1)
    assert board.internet.connections == 1
