"""How the node gets to the broker: the network, the time, and a stream whose other end is verified; in the VM."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.firmware.device import run
from tests.servers.certificates import Authority
from tests.servers.micropython import MicroPython
from tests.servers.mosquitto import MosquittoServer

VM = Path(__file__).parent / "vm"
_HEAD = """
import asyncio, json, sys
from radio import Station
from qytet_node.wifi import Wifi
def say(value):
    print(json.dumps(value))
async def tried(what):
    try:
        await what
        return "up"
    except OSError as error:
        return str(error)
"""


def _join(vm: MicroPython, script: str, body: str) -> list[Any]:
    """Run the body with a station that answers each look at its status by the script's next word."""
    setup = f"""
station = Station({script})
link = Wifi(station, {{"ssid": "city", "password": "12345678"}}, {{}}, None, 30, 1)
async def main():
{body}
asyncio.run(main())
"""
    return run(vm, _HEAD + setup, path=[VM])


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("[1001, 1001, 1010]", "up"),
        ("[1001, 201]", "no network: no such network"),
        ("[1001, 202]", "no network: wrong password"),
        ("[1001, 77]", "no network: reason 77"),
        ("[1001] * 99", "no network: no address in time"),
    ],
    ids=["joins", "no network", "password", "unknown", "slow"],
)
def test_joining_ends_with_an_address_or_a_reason(micropython: MicroPython, script: str, said: str) -> None:
    """One attempt ends in time, and says in words why it failed."""
    assert _join(micropython, script, "    say(await tried(link.up()))") == [said]


def test_the_driver_is_never_asked_to_join_twice_at_once(micropython: MicroPython) -> None:
    """Two who want the network share one attempt; an attempt of the driver's own is ended before ours begins."""
    said = _join(
        micropython,
        "[1001] * 5 + [1010] * 50",
        """
    station.connecting = True  # by itself, after a loss
    one, other = asyncio.create_task(link.up()), asyncio.create_task(link.up())
    await one
    await other
    say([station.said.count("connect"), link.joins, link.rssi])
""",
    )
    assert said == [[1, 1, -61]]


def test_a_radio_that_fails_often_is_switched_off_and_on(micropython: MicroPython) -> None:
    """Every fifth failure restarts the driver; then it can join again."""
    said = _join(
        micropython,
        "[201] * 5 + [1010] * 50",
        """
    for _ in range(5):
        await tried(link.up())
    say(station.said[-1] == "on" and "off" in station.said)
    say([await tried(link.up()), link.failures])
""",
    )
    assert said == [True, ["up", 0]]


def test_a_network_that_leads_nowhere_is_joined_anew(micropython: MicroPython) -> None:
    """Where the driver says `connected` and the broker is never reached, every tenth attempt begins with the radio."""
    said = _join(
        micropython,
        "[1010] * 9",
        """
    for _ in range(10):
        await tried(link.up())
    say(station.said.count("connect"))
    say([await tried(link.up()), station.said.count("connect"), station.said.count("off"), link.joins])
""",
    )
    assert said == [1, ["up", 2, 1, 2]]


# ---- the stream

_STREAM = (
    _HEAD
    + """
from qytet_node.mqtt import Client, Lost, MqttError
given = json.load(open(sys.argv[1]))
broker = {"host": "127.0.0.1", "port": given["port"], "name": given["name"]}
link = Wifi(None, {}, broker, given["folder"])
async def main():
    client = Client(link.open, "node-1", given["user"], given["password"])
    try:
        say(await client.connect())
        reading = asyncio.create_task(client.run(print))
        await client.publish("qytet/v1/tirana/node-1/log", "x" * 3000)
        say("acknowledged")
        await client.close(True)
        try:
            await reading
        except MqttError:
            pass
    except Lost as error:
        say(["lost", str(error)])
asyncio.run(main())
"""
)


def _files(folder: Path, authority: Authority, client: str = "") -> Path:
    """`ca.der` and, for a client, `cert.der` and `key.der`, as they lie on a board."""
    folder.mkdir()
    der = serialization.Encoding.DER
    certificate = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    (folder / "ca.der").write_bytes(certificate.public_bytes(der))
    if client:
        pem, key = authority.issue(client)
        (folder / "cert.der").write_bytes(x509.load_pem_x509_certificate(pem.read_bytes()).public_bytes(der))
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        (folder / "key.der").write_bytes(
            private.private_bytes(
                der, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
        )
    return folder


def _open(
    vm: MicroPython, server: MosquittoServer, folder: Path, name: str = "localhost", password: str = ""
) -> Any:
    given = {
        "port": server.tls_port,
        "name": name,
        "folder": str(folder),
        "user": "node-1" if password else "",
        "password": password,
    }
    settings = folder / "given.json"  # an argument of the VM has 255 bytes at most
    settings.write_text(json.dumps(given))
    return run(vm, _STREAM, str(settings), path=[VM])


def _refused(vm: MicroPython, server: MosquittoServer, folder: Path, **more: str) -> str:
    """Why there was no connection."""
    (said,) = _open(vm, server, folder, **more)
    assert said[0] == "lost"
    return str(said[1])


def test_only_the_right_broker_is_spoken_to(
    micropython: MicroPython, mosquitto_tls: MosquittoServer, tmp_path: Path
) -> None:
    """With the city's authority and the broker's name it connects; another authority, name, or none ends it."""
    server = mosquitto_tls
    server.add_users(["node-1"])
    server.wait_for_user("node-1")
    password = server.password("node-1")
    assert server.authority is not None
    ours = _files(tmp_path / "ours", server.authority)
    theirs = _files(tmp_path / "theirs", Authority(tmp_path / "other"))
    assert _open(micropython, server, ours, password=password) == [False, "acknowledged"]
    assert "certificate" in _refused(micropython, server, theirs, password=password)
    assert "Common Name" in _refused(micropython, server, ours, name="elsewhere", password=password)
    assert "ENOENT" in _refused(micropython, server, tmp_path, password=password)


def test_a_certificate_can_stand_for_a_password(micropython: MicroPython, tmp_path: Path) -> None:
    """A broker that wants certificates lets in the node that shows its own, and no other."""
    with MosquittoServer(tls=True, client_certificates=True) as server:
        assert server.authority is not None
        known = _files(tmp_path / "known", server.authority, "node-1")
        stranger = _files(tmp_path / "stranger", server.authority)
        assert _open(micropython, server, known) == [False, "acknowledged"]
        assert _refused(micropython, server, stranger)


# ---- the time

_UNIX_OF_NTP = 2_208_988_800


@contextmanager
def _time_server(answer: Callable[[bytes], bytes | None]) -> Iterator[str]:
    """A time server on a free port, as "host:port"."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        ended = threading.Event()

        def serve() -> None:
            while True:
                question, address = line.recvfrom(100)
                if ended.is_set():
                    return
                if (said := answer(question)) is not None:
                    line.sendto(said, address)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{line.getsockname()[1]}"
        finally:
            ended.set()
            line.sendto(b"", line.getsockname())
            thread.join()


def _honest(question: bytes) -> bytes:
    seconds, fraction = divmod(time.time(), 1)
    stamp = struct.pack(">II", int(seconds) + _UNIX_OF_NTP, int(fraction * 2**32))
    return bytes([0x24, 2]) + bytes(22) + question[40:48] + bytes(8) + stamp


def _forged(question: bytes) -> bytes:
    return _honest(bytes(48))


def _keep(vm: MicroPython, servers: list[str], needed: bool, rounds: int = 1) -> list[Any]:
    """Ask so often at most, until the time is known and others had their turns within one round."""
    code = f"""
import time
from qytet_node import timekeeper
from qytet_node.clock import Clock
clock = Clock(time.ticks_ms, time.ticks_diff, 1700000000000)
heard = []
keeper = timekeeper.Timekeeper(clock, {servers!r}, heard.append, {needed!r}, 300)
async def main():
    turns = [0]
    async def other():
        while True:
            turns[0] += 1
            await asyncio.sleep_ms(10)
    beside, most = asyncio.create_task(other()), 0
    for _ in range({rounds!r}):
        turns[0], keeper._answered = 0, False
        said = await tried(keeper.known())
        most = max(most, turns[0])
        if said == "up" and most > 10:
            break
    beside.cancel()
    say([said, heard and heard[-1], clock.now(), keeper.server, most])
asyncio.run(main())
"""
    (said,) = run(vm, _HEAD + code, path=[VM])
    assert isinstance(said, list)
    return said


def test_the_first_honest_server_sets_the_clock(micropython: MicroPython) -> None:
    """A silent and a lying server are passed over, and nothing else waits for them."""
    with _time_server(lambda _: None) as silent, _time_server(_forged) as liar, _time_server(_honest) as good:
        began = time.time() * 1000
        said, heard, (t, quality), server, turns = _keep(micropython, [silent, liar, good], True, rounds=60)
    assert (said, quality, server) == ("up", "ntp", good)
    assert began - 10_000 < heard < t + 1000, "as the server said, and the clock goes on from there"
    assert t < time.time() * 1000 + 10_000
    assert turns > 10, "others went on while the silent one was waited for"


def test_without_time_there_is_no_verified_connection(micropython: MicroPython) -> None:
    """If certificates are to be checked the time must be known first; a plain line goes on without."""
    with _time_server(lambda _: None) as silent:
        said, _, now, *_ = _keep(micropython, [silent], True)
        assert said.startswith("the time is not known")
        assert now == [None, "none"]
        assert _keep(micropython, [silent], False)[0] == "up"


def test_a_good_clock_is_asked_about_once_an_hour(micropython: MicroPython) -> None:
    """A server that finds nothing to correct is left alone as long as one that does; a silent one is asked again."""
    code = """
from qytet_node import timekeeper
from qytet_node.clock import Clock
now, asked = [0], []
async def sleep_ms(ms, true=asyncio.sleep_ms):
    now[0] += ms
    await true(0)
timekeeper.asyncio.sleep_ms = sleep_ms
class Up:
    is_up = True
clock = Clock(lambda: now[0], lambda a, b: a - b, 0)
keeper = timekeeper.Timekeeper(clock, ["there"])
async def ask():
    asked.append(now[0] // 1000)
    return len(asked) not in (3, 4) and clock.set(1780000000000 + now[0], "ntp", 50)
keeper.ask = ask
async def main():
    await keeper.known()
    running = asyncio.create_task(keeper.run(Up))
    while len(asked) < 7:
        await asyncio.sleep(0)
    running.cancel()
    say(asked[:7])
asyncio.run(main())
"""
    (said,) = run(micropython, _HEAD + code, path=[VM])
    assert said == [0, 600, 4200, 4230, 4260, 7860, 11460]
