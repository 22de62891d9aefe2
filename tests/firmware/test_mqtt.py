"""The node's MQTT client, in the VM, against a real Mosquitto and against servers that misbehave."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.core.mqtt_client import Client
from tests.firmware.device import run
from tests.servers.micropython import MicroPython
from tests.servers.mosquitto import MosquittoServer

_HEAD = """
import asyncio, json, sys
from qytet_node.mqtt import Client, Lost, Refused
port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
async def opened():
    return await asyncio.open_connection("127.0.0.1", port)
def say(value):
    print(json.dumps(value))
def client(**more):
    return Client(opened, "node-1", user, password, **more)
def ignore(topic, payload):
    pass
async def ends(what):
    try:
        await what
    except Refused as error:
        return ["refused", error.code]
    except Lost as error:
        return ["lost", str(error)]
"""
_MAIN = "\nasyncio.run(main())\n"


@pytest.fixture
def broker(private_mosquitto: MosquittoServer) -> MosquittoServer:
    """A broker that knows node-1."""
    private_mosquitto.add_users(["node-1"])
    private_mosquitto.wait_for_user("node-1")
    return private_mosquitto


def _on(vm: MicroPython, broker: MosquittoServer, body: str) -> list[Any]:
    url = urlsplit(broker.url("node-1"))
    return run(vm, _HEAD + body + _MAIN, str(url.port), "node-1", str(url.password))


def test_what_is_acknowledged_is_at_the_broker(micropython: MicroPython, broker: MosquittoServer) -> None:
    """`publish` returns after the PUBACK, in order, also where packet numbers wrap from 65535 to 1."""
    with Client(broker, "ingest", "listener") as listener:
        listener.subscribe("qytet/v1/+/+/obs")
        said = _on(
            micropython,
            broker,
            """
async def main():
    c = client()
    say(await c.connect())
    reading = asyncio.create_task(c.run(ignore))
    c._number = 65530
    for i in range(12):
        await c.publish("qytet/v1/tirana/node-1/obs", str(i))
        await c.publish("qytet/v1/tirana/node-1/log", "aside", qos=0)
    say(c._number)
    await c.close(politely=True)
    say((await ends(reading))[0])
""",
        )
        assert said == [False, 7, "lost"]
        assert [payload for _, payload in listener.wait_for(12)] == [str(i).encode() for i in range(12)]


def test_a_session_that_the_broker_kept_is_gone_on_with(
    micropython: MicroPython, broker: MosquittoServer
) -> None:
    """A command that came while the node was away is delivered once it is back, without subscribing again."""
    topic = "qytet/v1/tirana/node-1/cmd/c1"
    _on(
        micropython,
        broker,
        """
async def main():
    c = client()
    await c.connect()
    reading = asyncio.create_task(c.run(ignore))
    await c.subscribe(["qytet/v1/tirana/node-1/cmd/+", "qytet/v1/tirana/node-1/stored"])
    await c.close(politely=True)
    await ends(reading)
""",
    )
    with Client(broker, "ingest", "server") as server:
        server.publish(topic)
    said = _on(
        micropython,
        broker,
        """
async def main():
    c, came = client(), asyncio.Event()
    def take(topic, payload):
        say([topic, payload.decode()])
        came.set()
    say(await c.connect())
    reading = asyncio.create_task(c.run(take))
    await asyncio.wait_for(came.wait(), 50)
    await c.close(politely=True)
    await ends(reading)
""",
    )
    assert said == [True, [topic, "0"]]


def test_wrong_credentials_are_told_apart(micropython: MicroPython, broker: MosquittoServer) -> None:
    """The broker's refusal comes with its code, and is no lost connection."""
    said = _on(
        micropython,
        broker,
        "\npassword = 'wrong'\nasync def main():\n    say(await ends(client().connect()))\n",
    )
    assert said[0][0] == "refused"
    assert said[0][1] in (4, 5)


def test_a_broker_that_dies_wakes_everybody(micropython: MicroPython, broker: MosquittoServer) -> None:
    """When the connection ends, `run` and a waiting `publish` both end with Lost, and connecting again works."""
    with Client(broker, "ingest", "listener") as listener, ThreadPoolExecutor(1) as pool:
        listener.subscribe("qytet/v1/+/+/obs")
        life = pool.submit(
            _on,
            micropython,
            broker,
            """
async def main():
    c = client()
    await c.connect()
    reading = asyncio.create_task(c.run(ignore))
    async def flood():
        while True:
            await c.publish("qytet/v1/tirana/node-1/obs", "x" * 500)
    say((await ends(flood()))[0])
    say((await ends(reading))[0])
    say(c.connected)
    say((await ends(c.connect()))[0])
""",
        )
        try:
            assert listener.wait_for(1)
        finally:
            broker.kill()
        said = life.result()
    assert said == ["lost", "lost", False, "lost"]


@contextmanager
def _server(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a free port that treats each connection as told; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                behave(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _against(vm: MicroPython, behave: Callable[[socket.socket], None], body: str) -> list[Any]:
    with _server(behave) as port:
        return run(vm, _HEAD + body + _MAIN, str(port), "node-1", "secret")


def _until_closed(connection: socket.socket) -> bytes:
    said = b""
    while more := connection.recv(4096):
        said += more
    return said


_CONNACK, _KEPT = b"\x20\x02\x00\x00", b"\x20\x02\x01\x00"


def test_silence_is_found_out(micropython: MicroPython) -> None:
    """A server that accepts and says nothing costs the time limit, once at connecting and once at a ping."""
    connections: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        if connections:
            connection.sendall(_CONNACK)
        connections.append(_until_closed(connection))

    said = _against(
        micropython,
        behave,
        """
import time
async def main():
    c = client(keepalive_s=1, timeout_s=0.3)
    began = time.ticks_ms()
    say((await ends(c.connect()))[0])
    c.timeout = 60  # this server does answer, as soon as the machine lets it
    await c.connect()
    c.timeout = 0.3
    say((await ends(c.run(ignore)))[0])
    say(time.ticks_diff(time.ticks_ms(), began) < 40000)  # without the two limits: 10 s and 55 s
    await c.close()
""",
    )
    assert said == ["lost", "lost", True]
    assert connections[1].endswith(b"\xc0\x00"), "it asked before it gave up"


def test_the_same_message_goes_out_again_as_a_duplicate_within_a_session(micropython: MicroPython) -> None:
    """DUP and the old number are used only where the broker kept the session; otherwise it is a new message."""
    seen: list[bytes] = []
    greetings = [_CONNACK, _KEPT, _CONNACK]

    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(greetings[len(seen)])
        seen.append(connection.recv(4096))  # and hang up without a PUBACK

    _against(
        micropython,
        behave,
        """
async def main():
    c = client(timeout_s=60)
    for _ in range(3):
        await c.connect()
        reading = asyncio.create_task(c.run(ignore))
        await ends(c.publish("t", "same"))
        await ends(reading)
""",
    )
    assert [packet[0] for packet in seen] == [0x32, 0x3A, 0x32]
    numbers = [struct.unpack_from(">H", packet, 5)[0] for packet in seen]
    assert numbers[0] == numbers[1] != numbers[2]


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\xff\xff\xff\xff\xff", b"\x20\x05\x00", b"\x30\x02\x00\x00"],
    ids=["http", "length", "cut short", "no connack"],
)
def test_a_server_that_is_no_broker_is_no_crash(micropython: MicroPython, answer: bytes) -> None:
    """Whatever answers on the port, connecting ends with Lost."""

    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    said = _against(
        micropython, behave, "async def main():\n    say((await ends(client(timeout_s=1).connect()))[0])"
    )
    assert said == ["lost"]


def test_a_huge_message_costs_no_memory(micropython: MicroPython) -> None:
    """A message of a megabyte is read past and counted on a heap of 110 KB, and the connection goes on."""

    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        body = b"\x00\x01t" + bytes(1_000_000)
        size = len(body)
        length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14])
        connection.sendall(_CONNACK + b"\x30" + length + body + b"\x30\x05\x00\x01tok")
        _until_closed(connection)

    said = _against(
        micropython,
        behave,
        """
async def main():
    c, came = client(), asyncio.Event()
    def take(topic, payload):
        say(payload.decode())
        came.set()
    await c.connect()
    reading = asyncio.create_task(c.run(take))
    await asyncio.wait_for(came.wait(), 50)
    say(c.oversize)
    await c.close()
    reading.cancel()
""",
    )
    assert said == ["ok", 1]
