"""What the uplink says and hears: commands, marks, births, notices, and the batches of a metered line."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from qytet_edge.records import Notice, Relayed
from qytet_edge.uplink import Metered
from tests.edge.uplink_support import QUICK, City, eventually, street, user_address
from tests.servers.mosquitto import MosquittoServer

pytestmark = pytest.mark.servers

PATIENT = replace(QUICK, mark_s=(600.0, 600.0))
"""Nothing goes out a second time, however late the test says its mark."""
BOOT = "0badcafe"


def test_commands_reach_their_handlers(mosquitto_server: MosquittoServer, tmp_path: Path) -> None:
    """A command of the gateway goes to its handler, one of a node to the relay; one sent while away comes later."""
    address = user_address(mosquitto_server, "gw-cmd")

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
    address = user_address(mosquitto_server, "gw-die")

    async def first(city: City) -> None:
        async with street(tmp_path, address, "gw-die") as there:
            begun = asyncio.Event()

            async def never(_ident: str, _payload: bytes) -> None:
                begun.set()
                await asyncio.Event().wait()

            there.uplink._hearing._command = never
            await eventually(lambda: bool(city.heard("state")), "subscribed before the greeting")
            city.say("cmd/1", b"reboot")
            async with asyncio.timeout(60):
                await begun.wait()

    async def second() -> None:
        async with street(tmp_path, address, "gw-die") as there:
            await eventually(lambda: there.commands == [("1", b"reboot")], "the command again")

    with City(mosquitto_server, "gw-die") as city:
        asyncio.run(first(city))
        asyncio.run(second())


def test_marks_free_the_spool_and_reach_nodes(mosquitto_server: MosquittoServer, tmp_path: Path) -> None:
    """Only a mark lets the spool forget, nonsense on a mark's topic does nothing, and a node hears of its mark."""
    address = user_address(mosquitto_server, "gw-marks")

    async def run(city: City) -> None:
        async with street(tmp_path, address, "gw-marks", manners=PATIENT) as there:
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
    address = user_address(mosquitto_server, "gw-again")

    async def run(city: City) -> None:
        async with street(tmp_path, address, "gw-again") as there:
            await there.put(5)
            await eventually(lambda: city.seqs()[:5] == [1, 2, 3, 4, 5], "live")
            city.mark(there.spool.boot, 2)
            async with asyncio.timeout(60):
                while (await there.spool.held())[0].lowest != 3:  # noqa: ASYNC110 (the spool tells nobody)
                    await asyncio.sleep(0.01)
            before = len(city.seqs())  # with a machine that stands still some went again already
            await eventually(lambda: city.seqs()[-3:] == [3, 4, 5] and len(city.seqs()) > before, "again")
            assert there.uplink.state().resent >= 3
            city.mark(there.spool.boot, 5)
            await there.settled()

    with City(mosquitto_server, "gw-again") as city:
        asyncio.run(run(city))


def test_a_node_s_birth_never_denies_what_the_gateway_holds(
    mosquitto_server: MosquittoServer, tmp_path: Path
) -> None:
    """A node that gave up records which the gateway still has: its birth goes on with the gateway's `lo`."""
    birth = b'{"v":1,"boot":"%s","lo":50,"fw":"1","board":"b","ds":[["pm2_5","ug/m3"]]}' % BOOT.encode()
    address = user_address(mosquitto_server, "gw-birth")

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
    metered = replace(PATIENT, metered=Metered(interval_s=3600, records=40), mark_s=(1e6, 1e6))
    address = user_address(mosquitto_server, "gw-metered")
    ahead = [0.0]

    async def run(city: City) -> None:
        def clock() -> float:
            return time.monotonic() + ahead[0]

        async with street(tmp_path, address, "gw-metered", manners=metered, clock=clock) as there:
            await there.uplink.connected()

            async def closed() -> None:
                """The link is not used: the next record waits."""
                backfill = there.uplink._backfill
                await eventually(
                    lambda: (
                        not backfill._open and backfill._closed_at > 0 and there.uplink._line.in_flight == 0
                    ),
                    "the link is left alone",
                )

            await closed()
            for _ in range(5):
                await there.put(1)
            assert city.seqs() == []
            ahead[0] += 3600
            await eventually(lambda: city.seqs() == [1, 2, 3, 4, 5], "at the interval")
            await closed()
            for _ in range(40):
                await there.put(1)
            await eventually(lambda: len(city.seqs()) == 45, "enough records")
            assert city.seqs() == list(range(1, 46))
            assert city.heard("obs") == []
            assert len(city.heard("hist")) == 2
            assert there.uplink.state().live == 0

    with City(mosquitto_server, "gw-metered") as city:
        asyncio.run(run(city))
