"""The connection: verified, refused aloud, given up for dead in time, and never without an end of its own."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from qytet.errors import InputError
from qytet_edge.records import Notice
from qytet_edge.spool import Spool
from qytet_edge.uplink import Address, Manners
from tests.edge.uplink_support import QUICK, City, eventually, street, user_address
from tests.fixtures.availability import required
from tests.servers.mosquitto import MosquittoServer

pytestmark = pytest.mark.servers

BOOT = "0badcafe"


@contextmanager
def _stranger(answer: bytes) -> Iterator[tuple[Address, list[int]]]:
    """A server on a free port that answers each connection's first bytes with these, and counts them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen: list[int] = []
        over = threading.Event()
        listener.settimeout(0.05)

        def serve() -> None:
            kept: list[socket.socket] = []
            while not over.is_set():
                try:
                    found, _ = listener.accept()
                except TimeoutError:
                    continue
                kept.append(found)
                found.settimeout(60)
                found.recv(1000)
                seen.append(1)
                if answer:
                    found.sendall(answer)
            for each in kept:
                each.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Address("127.0.0.1", listener.getsockname()[1]), seen
        finally:
            over.set()
            thread.join(90)


@pytest.mark.parametrize(
    ("answer", "manners"),
    [
        pytest.param(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n" + b"x" * 200, QUICK, id="captive portal"),
        pytest.param(
            b"\x20\x03\x00\x00\x00" + b"\x40\x02\x00\x09" * 3 + b"\xf7\xff\xff\xff\xff\xff",
            QUICK,
            id="garbage",
        ),
        pytest.param(b"", replace(QUICK, connect_s=0.1), id="silence"),
        pytest.param(b"\x20\x03\x00\x87\x00", QUICK, id="not authorized"),
    ],
)
def test_whatever_answers_it_tries_again(answer: bytes, manners: Manners, tmp_path: Path) -> None:
    """A stranger's bytes, silence or a refusal end one attempt, with a reason, and the next one follows."""

    async def run() -> None:
        reasons: set[str] = set()
        async with street(tmp_path, address, "gw-strange", manners=manners) as there:
            await there.put(3)

            def tried() -> bool:
                reasons.add(there.uplink.state().refusal)
                return len(seen) >= 3 and bool(reasons - {""})

            await eventually(tried, "three attempts and a reason")
            assert len(await there.spool.read("gw-strange", there.spool.boot, 0, 10, 10_000)) == 3

    before = threading.active_count()
    with _stranger(answer) as (address, seen):
        asyncio.run(run())
        asyncio.run(eventually(lambda: threading.active_count() <= before + 1, "each attempt's thread ends"))


def test_nobody_there_costs_nothing(tmp_path: Path) -> None:
    """Without a broker records are kept, the state says why, and stopping does not wait."""

    async def run() -> None:
        with socket.socket() as claim:
            claim.bind(("127.0.0.1", 0))  # nobody listens there, and nobody else comes to
            port = claim.getsockname()[1]
            async with street(tmp_path, Address("127.0.0.1", port), "gw-alone") as there:
                await there.put(5)
                await eventually(
                    lambda: there.uplink.state().refusal == "Connection refused", "a reason without numbers"
                )
                assert not there.uplink.state().connected

    asyncio.run(run())


def test_a_wrong_password_is_named(mosquitto_server: MosquittoServer, tmp_path: Path) -> None:
    """The broker's own words about a refusal are in the state, and the password is nowhere."""
    address = replace(user_address(mosquitto_server, "gw-wrong"), password="guess-me")
    assert "guess-me" not in repr(address) + str(address)

    async def run() -> None:
        async with street(tmp_path, address, "gw-wrong") as there:
            await eventually(lambda: "uthori" in there.uplink.state().refusal, "not authorised")
            assert "guess-me" not in repr(there.uplink.state())

    asyncio.run(run())


def test_only_a_verified_broker_is_spoken_to(mosquitto_tls: MosquittoServer, tmp_path: Path) -> None:
    """With the CA that signed the broker's certificate it connects; with the system's it refuses and says why."""
    mosquitto_tls.add_users(["gw-tls"])
    mosquitto_tls.wait_for_user("gw-tls")
    url = mosquitto_tls.url("gw-tls", tls=True)
    right, wrong = Address.parse(url, ca_file=mosquitto_tls.ca_file), Address.parse(url)

    async def run(address: Address, name: str, wanted: str) -> None:
        async with street(tmp_path / name, address, "gw-tls") as there:
            await eventually(
                lambda: there.uplink.state().connected or "certificate" in there.uplink.state().refusal, name
            )
            assert wanted in there.uplink.state().refusal
            assert there.uplink.state().connected == (not wanted)

    for name in ("right", "wrong"):
        (tmp_path / name).mkdir()
    asyncio.run(run(right, "right", ""))
    asyncio.run(run(wrong, "wrong", "certificate verify failed"))


def test_a_client_certificate_is_presented(tmp_path: Path) -> None:
    """Where the broker asks for a certificate, ours opens the door, and its name is the user."""
    with required("Mosquitto"):
        server = MosquittoServer(client_certificates=True)
    with server as broker:
        assert broker.authority is not None
        certificate, key = broker.authority.issue("gw-cert")
        url = f"mqtts://127.0.0.1:{broker.tls_port}"
        address = Address.parse(url, ca_file=broker.ca_file, cert_file=certificate, key_file=key)

        async def run() -> None:
            async with street(tmp_path, address, "gw-cert") as there:
                with City(broker, "gw-cert") as city:
                    await there.put(1)
                    await eventually(lambda: city.seqs() == [1], "the record, on a topic of that user")

        asyncio.run(run())


def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    """A CA file that is not there is named in the state, and nothing is sent without verification."""
    missing = tmp_path / "none.pem"

    async def run() -> None:
        address = Address("127.0.0.1", 1, tls=True, ca_file=missing)
        async with street(tmp_path, address, "gw-none") as there:
            await eventually(lambda: str(missing) in there.uplink.state().refusal, "the file's name")

    asyncio.run(run())
    with pytest.raises(InputError, match=r"none\.pem"):
        Address.parse("mqtts://127.0.0.1", ca_file=missing).tls_context()


def test_a_new_numbering_is_announced(
    mosquitto_server: MosquittoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the spool begins a new boot, a new connection says so, and its will speaks for the new one."""
    address = user_address(mosquitto_server, "gw-boots")

    async def run(city: City) -> None:
        async with street(tmp_path, address, "gw-boots") as there:
            await eventually(lambda: bool(city.heard("state")), "the first greeting")
            monkeypatch.setattr(Spool, "boot", property(lambda _spool: BOOT))
            await eventually(lambda: city.heard("birth")[-1]["boot"] == BOOT, "the second greeting")
            await eventually(lambda: city.heard("state")[-1] == {"v": 1, "boot": BOOT, "s": "ready"}, "ready")
            assert "lost" not in [one["s"] for one in city.heard("state")]
            there.uplink._connection.abandon()  # type: ignore[union-attr]
            lost = {"v": 1, "boot": BOOT, "s": "lost"}
            await eventually(lambda: lost in city.heard("state"), "the will")

    with City(mosquitto_server, "gw-boots") as city:
        asyncio.run(run(city))


def test_birth_ready_offline_and_lost(mosquitto_server: MosquittoServer, tmp_path: Path) -> None:
    """At each connect birth, then ready, of the gateway and its instruments; offline at the end; lost if cut off."""
    streams = {"gw-states": ("pm2_5",), "meter-1": ("grid_frequency", "grid_current:l1")}
    manners = replace(QUICK, farewell_s=60)
    address = user_address(mosquitto_server, "gw-states")

    async def run(city: City) -> None:
        async with street(tmp_path, address, "gw-states", streams=streams, manners=manners) as there:
            boot = there.spool.boot
            await eventually(lambda: bool(city.heard("state", "meter-1")), "the instrument's state")
            assert [one["s"] for one in city.heard("state")] == ["ready"]
            [birth] = city.heard("birth", "meter-1")
            assert (birth["boot"], birth["lo"]) == (boot, 1)
            assert birth["ds"] == [["grid_frequency", "Hz"], ["grid_current:l1", "A"]]
            kinds = [topic.rsplit("/", 1)[1] for topic, _ in city.received if "/via/" not in topic]
            assert kinds[:2] == ["birth", "state"]
            there.uplink._connection.abandon()  # type: ignore[union-attr]
            await eventually(
                lambda: [one["s"] for one in city.heard("state")] == ["ready", "lost", "ready"], "lost"
            )
            assert all(one["boot"] == boot for one in city.heard("state"))
        for device in ("", "meter-1"):
            await eventually(
                lambda device=device: city.heard("state", device)[-1]["s"] == "offline",  # type: ignore[misc]
                "offline",
            )

    with City(mosquitto_server, "gw-states") as city:
        asyncio.run(run(city))


def test_no_more_in_flight_than_the_broker_allows(tmp_path: Path) -> None:
    """A broker that grants five messages in flight and acknowledges none gets five and no sixth."""
    connack = b"\x20\x06\x00\x00\x03\x21\x00\x05"

    async def run() -> None:
        async with street(tmp_path, address, "gw-five", manners=replace(QUICK, farewell_s=0.1)) as there:
            await there.uplink.connected()
            await there.put(8)
            await there.spool.notify(Notice("gw-five", "log", b"{}"))
            await eventually(lambda: there.uplink.state().in_flight == 5, "five in flight")
            await there.put(100)
            assert there.uplink.state().in_flight == 5

    with _stranger(connack) as (address, _):
        asyncio.run(run())


def test_a_narrow_window_lets_everything_through(tmp_path: Path) -> None:
    """A broker that ends connections with more than five messages in flight gets all records on one connection."""
    with required("Mosquitto"):
        server = MosquittoServer(max_inflight=5)

    async def run(city: City) -> None:
        async with street(tmp_path, user_address(server, "gw-window"), "gw-window") as there:
            for _ in range(60):
                await there.put(5)
            await eventually(lambda: len(set(city.seqs())) == 300, "all records")
            assert there.uplink.state().connects == 1

    with server as broker, City(broker, "gw-window") as city:
        asyncio.run(run(city))


def test_a_dead_line_is_given_up(tmp_path: Path) -> None:
    """A broker that takes messages and acknowledges nothing is left after the stall time; nothing is lost."""
    connack = b"\x20\x03\x00\x00\x00"

    async def run() -> None:
        async with street(
            tmp_path, address, "gw-stall", manners=replace(QUICK, stall_s=0.3, farewell_s=0.1)
        ) as there:
            await there.put(5)
            await eventually(lambda: there.uplink.state().connects >= 2, "a second connection")
            assert len(await there.spool.read("gw-stall", there.spool.boot, 0, 10, 10_000)) == 5

    with _stranger(connack) as (address, _):
        asyncio.run(run())
