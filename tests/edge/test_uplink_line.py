"""The line: every message that is handed to it comes to an end, also one that never left."""

import asyncio
from dataclasses import dataclass, field

from qytet_edge.uplink.line import Line
from qytet_edge.uplink.manners import Manners


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
