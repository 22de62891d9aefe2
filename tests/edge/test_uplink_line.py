"""The line: every message that is handed to it comes to an end, also one that never left."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from qytet_edge.records import Notice
from qytet_edge.uplink import Identity
from qytet_edge.uplink.line import Line
from qytet_edge.uplink.manners import Manners
from qytet_edge.uplink.notices import NoticeSender


@dataclass
class Wire:
    """A connection that numbers what it takes; once it is cut it takes nothing, as the real one does."""

    cut: bool = False
    taken: list[bytes] = field(default_factory=list)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        del topic, retain
        if self.cut:
            return 0
        self.taken.append(payload)
        return len(self.taken)


def line(wire: Wire, packet_maximum: int = 0) -> Line:
    found = Line(Manners())
    found.opened(wire, 100, packet_maximum)  # type: ignore[arg-type]
    return found


def test_what_a_cut_connection_does_not_take_is_lost_at_once() -> None:
    """Between the cut and its discovery nothing counts as in flight, and each sender learns of its own message."""

    async def run() -> None:
        wire = Wire()
        up, fates = line(wire), []
        up.publish("t", b"1", done=fates.append)
        wire.cut = True
        for _ in range(3):
            up.publish("t", b"2", done=fates.append, backfill=True)
        assert fates == ["lost"] * 3
        assert (up.in_flight, up.backfill_in_flight) == (1, 0)
        up.down("cut")
        assert fates == ["lost"] * 4

    asyncio.run(run())


def test_what_the_broker_would_not_take_does_not_cost_the_line() -> None:
    """A message above the broker's bound stays here and is told; sent, it would end each connection anew."""

    async def run() -> None:
        wire, fates = Wire(), []
        up = line(wire, packet_maximum=1000)
        up.publish("t", bytes(1000), done=fates.append)
        up.publish("t", bytes(900), done=fates.append)
        assert fates == ["refused"]
        assert [len(payload) for payload in wire.taken] == [900]
        assert up.totals.refused == 1
        assert "1000" in up.refusal

    asyncio.run(run())


class SlowDisk:
    """A spool with three notices, whose answers take as long as the test wants."""

    def __init__(self) -> None:
        self.notice_kept = asyncio.Event()
        self.asked = asyncio.Semaphore(0)
        self.answers = asyncio.Semaphore(0)

    async def notices(self, limit: int, after: int = 0) -> list[tuple[int, Notice]]:
        self.asked.release()
        await self.answers.acquire()
        kept = [(number, Notice("gw", "log", b"%d" % number)) for number in (1, 2, 3) if number > after]
        return kept[: min(limit, 1)]

    async def noticed(self, ids: Sequence[int]) -> None:
        raise AssertionError(ids)


def test_a_connection_that_comes_while_the_disk_is_slow_gets_every_notice() -> None:
    """What the old connection lost goes out on the new one, also if the next notice was being read meanwhile."""

    async def run() -> None:
        disk, old, new = SlowDisk(), Wire(), Wire()
        up = line(old)
        sender = NoticeSender(up, disk, Identity("tirana", "gw", "1", "test", {}))  # type: ignore[arg-type]
        sending = asyncio.create_task(sender.run())
        for _ in range(2):
            disk.answers.release()
            await disk.asked.acquire()
        await disk.asked.acquire()  # two are in flight, and the third is looked for
        assert old.taken == [b"1", b"2"]
        up.down("cut")
        sender.reconnected()
        up.opened(new, 100, 0)  # type: ignore[arg-type]
        for _ in range(4):
            disk.answers.release()
            await disk.asked.acquire()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert new.taken == [b"1", b"2", b"3"]

    asyncio.run(asyncio.wait_for(run(), 60))
