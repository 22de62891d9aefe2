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
from qytet_edge.records import Notice, Relayed
from qytet_edge.spool import Spool
from qytet_edge.uplink import Address, Manners, Metered
from tests.edge.uplink_support import QUICK, City, eventually, street
from tests.fixtures.availability import required
from tests.servers.mosquitto import MosquittoServer

pytestmark = pytest.mark.servers

BOOT = "0badcafe"


def _address(broker: MosquittoServer, user: str) -> Address:
    return Address.parse(broker.url("simulator")) if not user else _user_address(broker, user)


def _user_address(broker: MosquittoServer, user: str) -> Address:
    broker.add_users([user])
    broker.wait_for_user(user)
    return Address.parse(broker.url(user))


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
                found.settimeout(5)
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
            thread.join(10)


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
    assert threading.active_count() <= before + 1, "each attempt's thread has ended"


def test_nobody_there_costs_nothing(tmp_path: Path) -> None:
    """Without a broker records are kept, the state says why, and stopping does not wait."""

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        async with street(tmp_path, Address("127.0.0.1", port), "gw-alone") as there:
            await there.put(5)
            await eventually(lambda: "refused" in there.uplink.state().refusal, "a reason")
            assert not there.uplink.state().connected

    asyncio.run(run())


def test_a_wrong_password_is_named(mosquitto_server: MosquittoServer, tmp_path: Path) -> None:
    """The broker's own words about a refusal are in the state, and the password is nowhere."""
    address = replace(_address(mosquitto_server, "gw-wrong"), password="guess-me")
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
    address = _address(mosquitto_server, "gw-boots")

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
    address = _address(mosquitto_server, "gw-states")

    async def run(city: City) -> None:
        async with street(tmp_path, address, "gw-states", streams=streams) as there:
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
        await eventually(lambda: city.heard("state")[-1]["s"] == "offline", "offline")
        assert city.heard("state", "meter-1")[-1]["s"] == "offline"

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
        async with street(tmp_path, _address(server, "gw-window"), "gw-window") as there:
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


def test_commands_reach_their_handlers(mosquitto_server: MosquittoServer, tmp_path: Path) -> None:
    """A command of the gateway goes to its handler, one of a node to the relay; one sent while away comes later."""
    address = _address(mosquitto_server, "gw-cmd")

    async def first(city: City) -> None:
        async with street(tmp_path, address, "gw-cmd") as there:
            await there.uplink.connected()
            await eventually(lambda: bool(city.heard("state")), "subscribed before the greeting")
            city.say("cmd/7", {"v": 1})
            city.say("cmd/8", b"raw \xff", "node-1")
            await eventually(lambda: bool(there.commands and there.nodes.commands), "both commands")
            assert there.commands == [("7", b'{"v": 1}')]
            assert there.nodes.commands == [("node-1", "8", b"raw \xff")]
            assert there.uplink.state().commands == 2

    async def second() -> None:
        async with street(tmp_path, address, "gw-cmd") as there:
            await eventually(lambda: bool(there.commands), "the command sent while away")
            assert there.commands == [("9", b"later")]

    with City(mosquitto_server, "gw-cmd") as city:
        asyncio.run(first(city))
        city.say("cmd/9", b"later")
        asyncio.run(second())


def test_a_command_is_kept_until_its_handler_returned(
    mosquitto_server: MosquittoServer, tmp_path: Path
) -> None:
    """A gateway that dies within a command gets it again."""
    address = _address(mosquitto_server, "gw-die")

    async def first(city: City) -> None:
        async with street(tmp_path, address, "gw-die") as there:
            begun = asyncio.Event()

            async def never(_ident: str, _payload: bytes) -> None:
                begun.set()
                await asyncio.Event().wait()

            there.uplink._hearing._command = never
            await eventually(lambda: bool(city.heard("state")), "subscribed before the greeting")
            city.say("cmd/1", b"reboot")
            async with asyncio.timeout(20):
                await begun.wait()

    async def second() -> None:
        async with street(tmp_path, address, "gw-die") as there:
            await eventually(lambda: there.commands == [("1", b"reboot")], "the command again")

    with City(mosquitto_server, "gw-die") as city:
        asyncio.run(first(city))
        asyncio.run(second())


def test_marks_free_the_spool_and_reach_nodes(mosquitto_server: MosquittoServer, tmp_path: Path) -> None:
    """Only a mark lets the spool forget, nonsense on a mark's topic does nothing, and a node hears of its mark."""
    address = _address(mosquitto_server, "gw-marks")

    async def run(city: City) -> None:
        async with street(tmp_path, address, "gw-marks") as there:
            await there.uplink.connected()
            await there.put(4)
            await there.spool.relay(
                [Relayed("node-7", BOOT, seq, None, seq * 1000, "none", b'{"pm2_5": 1.50}') for seq in (1, 2)]
            )
            await eventually(
                lambda: city.seqs() == [1, 2, 3, 4] and city.seqs("node-7") == [1, 2], "all live"
            )
            assert b'"m":{"pm2_5": 1.50}' in next(p for t, p in city.received if t.endswith("via/node-7/obs"))
            for nonsense in (
                b"",
                b"[]",
                b'{"v":1,"boot":"x","seq":4}',
                b'{"v":1,"boot":"%s","seq":1e9}' % BOOT.encode(),
            ):
                city.say("stored", nonsense, "node-7")
            city.mark(there.spool.boot, 3)
            city.mark(BOOT, 2, "node-7")
            city.mark("12345678", 99, "node-9")
            await eventually(lambda: len(there.nodes.marks) == 2, "the marks at the relay")
            assert there.nodes.marks == [("node-7", BOOT, 2), ("node-9", "12345678", 99)]
            assert there.uplink.state().strange == 4
            assert there.uplink.state().connects == 1
            [held] = await there.spool.held()
            assert (held.device, held.lowest, held.count) == ("gw-marks", 4, 1)

    with City(mosquitto_server, "gw-marks") as city:
        asyncio.run(run(city))


def test_no_mark_means_again(mosquitto_server: MosquittoServer, tmp_path: Path) -> None:
    """Records whose PUBACK came and whose mark did not go out again, as backfill from the mark on."""
    address = _address(mosquitto_server, "gw-again")

    async def run(city: City) -> None:
        async with street(tmp_path, address, "gw-again") as there:
            await there.put(5)
            await eventually(lambda: city.seqs() == [1, 2, 3, 4, 5], "live")
            city.mark(there.spool.boot, 2)
            await eventually(lambda: city.seqs()[5:8] == [3, 4, 5], "what has no mark, again")
            assert there.uplink.state().resent == 3
            city.mark(there.spool.boot, 5)
            await there.settled()

    with City(mosquitto_server, "gw-again") as city:
        asyncio.run(run(city))


def test_a_node_s_birth_never_denies_what_the_gateway_holds(
    mosquitto_server: MosquittoServer, tmp_path: Path
) -> None:
    """A node that gave up records which the gateway still has: its birth goes on with the gateway's `lo`."""
    birth = b'{"v":1,"boot":"%s","lo":50,"fw":"1","board":"b","ds":[["pm2_5","ug/m3"]]}' % BOOT.encode()
    address = _address(mosquitto_server, "gw-birth")

    async def run(city: City) -> None:
        async with street(tmp_path, address, "gw-birth", start=False) as there:
            rows = [Relayed("node-8", BOOT, seq, None, 1, "none", b'{"pm2_5":1}') for seq in (7, 8)]
            await there.spool.relay(rows)
            for kind, payload in (
                ("birth", birth),
                ("log", b"not even JSON"),
                ("ack/5", b'{"v":1,"s":"done"}'),
            ):
                await there.spool.notify(Notice("node-8", kind, payload, retain=kind == "birth"))
            there.start()
            await eventually(lambda: len([t for t, _ in city.received if "node-8" in t]) >= 4, "all of it")
            [said] = city.heard("birth", "node-8")
            assert said["lo"] <= 7
            assert {**said, "lo": 50} == {
                "v": 1,
                "boot": BOOT,
                "lo": 50,
                "fw": "1",
                "board": "b",
                "ds": [["pm2_5", "ug/m3"]],
            }
            assert ("qytet/v1/tirana/gw-birth/via/node-8/log", b"not even JSON") in city.received
            assert city.heard("ack/5", "node-8") == [{"v": 1, "s": "done"}]
            await there.released()

    with City(mosquitto_server, "gw-birth") as city:
        asyncio.run(run(city))


def test_a_metered_link_sends_together(mosquitto_server: MosquittoServer, tmp_path: Path) -> None:
    """On a metered link no record travels alone: they go as one message, when enough wait or at the interval."""
    metered = replace(QUICK, metered=Metered(interval_s=0.6, records=40), mark_s=(30.0, 60.0))
    address = _address(mosquitto_server, "gw-metered")

    async def run(city: City) -> None:
        async with street(tmp_path, address, "gw-metered", manners=metered) as there:
            await there.uplink.connected()
            for _ in range(5):
                await there.put(1)
            await eventually(lambda: city.seqs() == [1, 2, 3, 4, 5], "the first interval")
            for _ in range(40):
                await there.put(1)
            await eventually(lambda: len(city.seqs()) == 45, "enough records")
            assert city.seqs() == list(range(1, 46))
            assert city.heard("obs") == []
            assert len(city.heard("hist")) <= 4
            assert there.uplink.state().live == 0

    with City(mosquitto_server, "gw-metered") as city:
        asyncio.run(run(city))
