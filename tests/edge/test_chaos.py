"""The gateway's promise under fire: kills, broken lines and full disks, and every accepted reading stored once."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from qytet.db.migrate import connect
from qytet_edge.spool import Spool
from tests.edge.chaos_gateway import Life
from tests.edge.chaos_plan import Weather
from tests.edge.chaos_world import FILE, GATEWAY, METER, Chaos, World
from tests.fixtures.availability import required
from tests.flow.compare import compare_load
from tests.flow.kills import settle
from tests.servers.mosquitto import MosquittoServer

SHORT = Chaos(seed=7, seconds=45)
LONG = Chaos(seed=11, seconds=600)
CALMER = Weather(
    gateway=(3, 30), city_broker=(15, 40), ingest=(15, 40), local_broker=(30, 60), link=(6, 20), disk=(15, 40)
)
MOST_MB = 150.0
"""A Pi Zero 2 W has 512."""


class Numbering(NamedTuple):
    """What the spool says of one of its own numberings: records made, of which so many still wait."""

    made: int
    waiting: int


class Verdict(NamedTuple):
    """The oracle's findings; `generated` of nodes and file, all else beside the counts should be 0."""

    generated: int
    lost: int
    duplicated: int
    extra: int
    missing: int
    dropped: int
    dead_letters: int
    undated: int


@pytest.mark.parametrize(
    ("chaos", "weather"),
    [
        pytest.param(SHORT, Weather(), id="45s"),
        pytest.param(LONG, CALMER, id="10min", marks=pytest.mark.soak),
    ],
)
def test_nothing_is_lost_or_doubled(
    chaos: Chaos, weather: Weather, postgres_url: str, private_mosquitto: MosquittoServer, tmp_path: Path
) -> None:
    """Whatever is killed, cut or filled up, each reading that nodes and instruments gave is stored exactly once."""
    with ExitStack() as stack:
        with required("Mosquitto"):
            local = stack.enter_context(MosquittoServer())
        world = World.begin(chaos, postgres_url, (private_mosquitto, local), tmp_path, stack)
        world.play(weather)
        account = world.settle()
        assert world.gateway.stop() == 0, world.gateway.tail()
        settle(world.worker)
        world.worker.stop()
        numberings = asyncio.run(_numberings(world.disk.folder))
        with connect(postgres_url) as connection:
            verdict = _judge(connection, world)
            _check_own(connection, numberings)
            _check_meter(connection, world)
        _report(world, account, verdict)
    assert account["nodes"]["unmarked"] == 0
    assert verdict == Verdict(world.load.records + len(world.file.rows), 0, 0, 0, 0, 0, 0, 0)
    assert world.gateway.exits == [], world.gateway.tail()
    assert world.done["said full"] or not world.disk.mounted, "the gateway never met a full disk"
    assert world.done["kill gateway"] >= 2
    assert world.done["take city broker"] >= 2
    assert max(life.most_mb for life in world.gateway.lives) < MOST_MB


def _judge(connection: psycopg.Connection[Any], world: World) -> Verdict:
    """Compare nodes and file with the database, value by value."""
    nodes = compare_load(connection, world.load)
    rows = connection.execute(_VALUES, {"device": FILE}).fetchall()
    stored = Counter((int(t_ms), float(value)) for t_ms, value in rows)
    made = {(t_ms, float(value)) for t_ms, value in world.file.rows.items()}
    missing, dropped = connection.execute(_LEDGER).fetchone() or (0, 0)
    return Verdict(
        nodes.generated + len(made),
        nodes.lost + len(made - stored.keys()),
        nodes.duplicated + sum(count - 1 for count in stored.values()),
        nodes.extra + len(stored.keys() - made),
        int(missing or 0),
        int(dropped or 0),
        _count(connection, "select count(*) from qytet.dead_letter"),
        _count(connection, "select count(*) from qytet.undated"),
    )


async def _numberings(folder: Path) -> dict[tuple[str, str], Numbering]:
    """What the gateway's spool says, after it has stopped, of every numbering of our own devices."""
    async with Spool(folder / "spool.db") as spool:
        boot = spool.boot
        held = {(one.device, one.boot): one for one in await spool.held() if one.own}
        found = {key: Numbering(one.next_seq - 1, one.next_seq - 1 - one.mark) for key, one in held.items()}
        for device in (GATEWAY, FILE, METER):
            found.setdefault((device, boot), Numbering(await spool.known(device, boot) or 0, 0))
    return found


def _check_own(connection: psycopg.Connection[Any], numberings: dict[tuple[str, str], Numbering]) -> None:
    """One life of the numbering through all kills, without a gap: all that was made is stored, or waits."""
    assert len(numberings) == 3, numberings
    for (device, boot), (made, waiting) in numberings.items():
        row = connection.execute(_BOOT, {"device": device, "boot": boot}).fetchone()
        assert row is not None, device
        received, missing = (int(number) for number in row)
        assert missing == 0, device
        assert made - waiting <= received <= made, (device, made, waiting, received)


def _check_meter(connection: psycopg.Connection[Any], world: World) -> None:
    """The bus counts its reads: each number at most once, in order, and no more given up than kills explain."""
    rows = connection.execute(_VALUES, {"device": METER}).fetchall()
    values = [int(value) for _, value in rows]
    assert values == sorted(set(values)), "a poll was stored twice, or out of order"
    given_up = world.bus.served - len(values)
    print(f"\nbus: {world.bus.served} reads served, {len(values)} stored")
    assert values, "the bus was never read"
    assert 0 <= given_up <= 5 * len(world.gateway.lives), "polls vanished without a kill"


def _report(world: World, account: dict[str, Any], verdict: Verdict) -> None:
    disk = "" if world.disk.mounted else " (no right to mount: the disk never filled up)"
    print(f"\nseed {world.chaos.seed}: {verdict}")
    print(f"deeds{disk}: {dict(world.done)}")
    print(f"spool: {account['spool']}")
    print(f"uplink: {account['uplink']}")
    print(f"nodes: {account['nodes']}")
    print("memory, MB (seconds: after 2 s / at the end / at most):")
    print("  " + ", ".join(_life(life) for life in world.gateway.lives))


def _life(life: Life) -> str:
    seconds = max(0.0, life.ended - life.began)
    return f"{seconds:.0f}: {life.first_mb:.0f}/{life.last_mb:.0f}/{life.most_mb:.0f}"


def _count(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


_VALUES = """
select (extract(epoch from phenomenon_time) * 1000)::bigint, value from qytet.reading
where device = %(device)s order by phenomenon_time
"""
_LEDGER = "select sum(missing), sum(dropped) from qytet.delivery"
_BOOT = "select received, missing from qytet.delivery where device = %(device)s and boot = %(boot)s"
