"""A bad line between gateway and city: cut, stalled and slow; everything arrives, and live records do not queue."""

import asyncio
import json
import random
import time
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from qytet_contract import topics
from qytet_simulators.instruments.link import Conditions, Link
from tests.edge.uplink_support import CITY, QUICK, City, Street, eventually, street, user_address
from tests.servers.mosquitto import MosquittoServer

pytestmark = pytest.mark.servers
LINE = 40_000
"""Bytes a second."""


class Storing(City):
    """A city that stores: it counts each number once, notes when it came, and answers with the mark."""

    def __init__(self, broker: MosquittoServer, gateway: str) -> None:
        self.came_at: dict[tuple[str, int], float] = {}
        self._marks: dict[tuple[str, str], int] = {}
        super().__init__(broker, gateway)

    def count(self, device: str) -> int:
        """How many numbers of the device are stored."""
        return sum(1 for name, _ in list(self.came_at) if name == device)

    async def arrival(self, device: str, seq: int) -> float:
        """When this record came (monotonic); waits for it."""
        await eventually(lambda: (device, seq) in self.came_at, f"record {seq}")
        return self.came_at[device, seq]

    def _on_message(self, client: object, data: object, message: paho.MQTTMessage) -> None:
        super()._on_message(client, data, message)
        found = topics.parse(message.topic)
        if found is None or found[2] not in (topics.OBS, topics.HIST):
            return
        _, device, kind, gateway, _ = found
        said = json.loads(message.payload)
        for seq in [said["seq"]] if kind == topics.OBS else [row[0] for row in said["r"]]:
            self.came_at.setdefault((device, seq), time.monotonic())
        mark = self._marks.get((device, said["boot"]), 0)
        while (device, mark + 1) in self.came_at:
            mark += 1
        self._marks[device, said["boot"]] = mark
        name = topics.topic(CITY, device, topics.STORED, gateway=gateway)
        self.mqtt.publish(name, json.dumps({"v": 1, "boot": said["boot"], "seq": mark}), 0)


@pytest.mark.parametrize(
    "seed", [pytest.param(1), *(pytest.param(n, marks=pytest.mark.soak) for n in range(2, 8))]
)
def test_cuts_and_stalls_lose_nothing(mosquitto_server: MosquittoServer, seed: int, tmp_path: Path) -> None:
    """Whatever the line does at seeded moments, every record is stored, and the spool is empty in the end."""
    gateway = f"gw-cuts-{seed}"
    luck = random.Random(seed)

    async def harm(link: Link) -> None:
        for _ in range(8):
            await asyncio.sleep(luck.uniform(0.02, 0.25))
            what = luck.choice(("cut", "stall", "refuse"))
            getattr(link, what)()
            if what != "cut":
                await asyncio.sleep(luck.uniform(0.05, 0.6))
                link.resume()
                await link.accept()

    async def run(city: Storing) -> None:
        async with Link("127.0.0.1", mosquitto_server.port, seed=seed) as link:
            manners = replace(QUICK, stall_s=0.4, connect_s=0.5)
            address = replace(user_address(mosquitto_server, gateway), port=link.port)
            async with street(tmp_path, address, gateway, manners=manners) as there:
                harming = asyncio.create_task(harm(link))
                while not harming.done():
                    await there.put(20)
                    await asyncio.sleep(0.01)
                await harming
                while (
                    there.uplink.state().connects < 3
                ):  # the harm met a machine too slow to connect in between
                    connects = there.uplink.state().connects
                    link.cut()
                    await there.eventually(
                        lambda connects=connects: there.uplink.state().connects > connects,  # type: ignore[misc]
                        "another connection",
                    )
                await there.settled()
                assert city.count(gateway) == len(there.made[gateway])
                assert there.uplink.state().connects >= 3
                await there.stop()

    with Storing(mosquitto_server, gateway) as city:
        asyncio.run(run(city))


def test_live_records_do_not_queue_behind_a_backlog(
    mosquitto_server: MosquittoServer, tmp_path: Path
) -> None:
    """On a line of 40 kB/s the backlog takes seconds; live records meanwhile take tenths, not seconds.

    It is the line's time that counts: what has passed over it in between. The machine may stand still.
    """
    gateway, delays, whole = "gw-modem", list[float](), 0.0

    async def live(there: Street, city: Storing, link: Link) -> None:
        nonlocal whole
        while not there.uplink.state().backfilled >= 1600:
            before = link.tolls.up
            await there.put(1, "meter-2")
            await city.arrival("meter-2", len(there.made["meter-2"]))
            delays.append((link.tolls.up - before) / LINE)
        whole = link.tolls.up / LINE

    async def run(city: Storing) -> None:
        conditions = Conditions(latency_s=0.05, bytes_per_s=LINE)
        async with Link("127.0.0.1", mosquitto_server.port, conditions=conditions) as link:
            address = replace(user_address(mosquitto_server, gateway), port=link.port)
            streams = {gateway: ("pm2_5",), "meter-2": ("pm2_5",)}
            manners = replace(QUICK, mark_s=(20.0, 40.0))
            async with street(
                tmp_path, address, gateway, streams=streams, manners=manners, start=False
            ) as there:
                await there.put(1600)
                there.start()
                await there.uplink.connected()
                await live(there, city, link)
                await there.settled()
                assert there.uplink.state().resent == 0
        delays.sort()
        assert len(delays) >= 3
        assert delays[len(delays) // 2] < 0.5, delays
        assert delays[-1] < min(1, whole / 2), (delays, whole)

    with Storing(mosquitto_server, gateway) as city:
        asyncio.run(run(city))
    print(f"\nlive beside a backlog on 40 kB/s: {[round(one, 2) for one in delays]} of {whole:.2f} s")
