"""A gateway's spool and uplink against a broker, a city that answers as told, and what the database has of it."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qytet_contract import topics
from qytet_edge.records import Reading
from qytet_edge.spool import Host, Limits, Spool
from qytet_edge.uplink import Address, Identity, Manners, Uplink
from tests.core.mqtt_client import Broker, Client
from tests.servers.mosquitto import MosquittoServer

__all__ = ["CITY", "City", "Nodes", "Street", "description", "eventually", "street", "user_address"]

CITY = "tirana"
QUICK = Manners(mark_s=(1.0, 5.0), retry_s=(0.05, 0.2), look_s=0.05, farewell_s=2.0)
"""The same behaviour in less time."""


async def eventually(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Return when the condition holds; fail with `what` if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)


def stamp() -> tuple[int, str]:
    """A clock that is right."""
    return time.time_ns() // 1_000_000, "ntp"


def user_address(broker: MosquittoServer, user: str) -> Address:
    """The broker's address for a user of this name, made if need be."""
    broker.add_users([user])
    broker.wait_for_user(user)
    return Address.parse(broker.url(user))


@dataclass
class Nodes:
    """The relay's ear: the marks and commands that it was told of."""

    marks: list[tuple[str, str, int]] = field(default_factory=list)
    commands: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def stored(self, device: str, boot: str, seq: int) -> None:
        self.marks.append((device, boot, seq))

    async def command(self, device: str, ident: str, payload: bytes) -> None:
        self.commands.append((device, ident, payload))


@dataclass
class Street:
    """A gateway's spool and its uplink, which runs between `start` and `stop`."""

    spool: Spool
    uplink: Uplink
    gateway: str
    nodes: Nodes
    commands: list[tuple[str, bytes]]
    began_ms: int = 0
    made: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """Time (Unix ms) and value of every reading that was put, by device."""
    _task: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        self._task = asyncio.create_task(self.uplink.run())

    async def stop(self) -> None:
        """As the service does it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def put(self, count: int, device: str = "") -> None:
        """Put so many readings in one transaction, a second apart and each with a value of its own."""
        device = device or self.gateway
        made = self.made.setdefault(device, [])
        new = [(self.began_ms + n * 1000, n % 1000) for n in range(len(made), len(made) + count)]
        await self.spool.put([Reading(device, {"pm2_5": value}, t_ms, "ntp") for t_ms, value in new])
        made += new

    async def eventually(self, condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """As the function, telling how the uplink is if it fails."""
        try:
            await eventually(condition, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.uplink.state()}; {await self.spool.held()}") from None

    async def settled(self, seconds: float = 60) -> None:
        """Wait until the city has accounted for everything."""
        await self._until(self.spool.held, seconds)

    async def released(self, seconds: float = 60) -> None:
        """Wait until the city's broker has every notice."""
        await self._until(lambda: self.spool.notices(10), seconds)

    async def _until(self, left: Callable[[], Awaitable[Sequence[object]]], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while found := await left():
            assert time.monotonic() < deadline, f"still there: {found}; {self.uplink.state()}"
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def street(
    folder: Path,
    address: Address,
    gateway: str,
    *,
    streams: Mapping[str, Sequence[str]] | None = None,
    manners: Manners = QUICK,
    limits: Limits | None = None,
    host: Host | None = None,
    start: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Street]:
    """A spool in the folder and an uplink to the address."""
    identity = Identity(CITY, gateway, "0.1.0", "test", streams or {gateway: ("pm2_5",)})
    nodes, commands = Nodes(), list[tuple[str, bytes]]()

    async def command(ident: str, payload: bytes) -> None:
        commands.append((ident, payload))

    async with Spool(folder / "spool.db", limits, stamp, host=host) as spool:
        uplink = Uplink(spool, address, identity, manners, marks=nodes, command=command, clock=clock)
        found = Street(spool, uplink, gateway, nodes, commands, began_ms=stamp()[0] - 86_400_000)
        if start:
            found.start()
        try:
            yield found
        finally:
            await found.stop()


class City(Client):
    """Hears everything of one gateway, and says `stored` or commands when a test wants it."""

    def __init__(self, broker: Broker, gateway: str) -> None:
        super().__init__(broker, "ingest", f"city-of-{gateway}")
        self.gateway = gateway
        assert self.subscribe(f"{topics.ROOT}/{CITY}/{gateway}/#")

    def heard(self, kind: str, device: str = "") -> list[Any]:
        """The payloads of one kind from one device, in order; birth and state of a device count, too."""
        gateway = self.gateway if device else ""
        name = topics.topic(CITY, device or self.gateway, kind, gateway=gateway)
        return [json.loads(payload) for topic, payload in list(self.received) if topic == name and payload]

    def seqs(self, device: str = "") -> list[int]:
        """The numbers that arrived of one device, live or as backfill, in order of arrival, repetitions included."""
        gateway = self.gateway if device else ""
        live = topics.topic(CITY, device or self.gateway, topics.OBS, gateway=gateway)
        backfill = topics.topic(CITY, device or self.gateway, topics.HIST, gateway=gateway)
        found: list[int] = []
        for topic, payload in list(self.received):
            if topic == live:
                found.append(json.loads(payload)["seq"])
            elif topic == backfill:
                found += [row[0] for row in json.loads(payload)["r"]]
        return found

    def say(self, kind: str, payload: object, device: str = "", qos: int = 1) -> None:
        """Publish to the gateway or to a device behind it."""
        gateway = self.gateway if device else ""
        name = topics.topic(CITY, device or self.gateway, kind, gateway=gateway)
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.mqtt.publish(name, raw, qos).wait_for_publish(60)

    def mark(self, boot: str, seq: int, device: str = "") -> None:
        """Say `stored`."""
        self.say(topics.STORED, {"v": 1, "boot": boot, "seq": seq}, device)


def description(gateway: str, behind: Iterable[str] = ()) -> dict[str, list[dict[str, Any]]]:
    """A gateway and the devices behind it, as `qytet device register` reads them."""
    from qytet_simulators.city.fleet import load_fleet
    from qytet_simulators.device.describe import city_row, device_row, site_row

    fleet = load_fleet([CITY])
    site = fleet.sites[0]
    rows = [device_row(gateway, site, "gateway", ["pm2_5"])]
    rows += [{**device_row(name, site, "node", ["pm2_5"]), "gateway": gateway} for name in behind]
    return {"cities": [city_row(fleet.cities[0])], "sites": [site_row(site)], "devices": rows}
