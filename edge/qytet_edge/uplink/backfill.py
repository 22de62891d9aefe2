"""Everything that did not go out live, and what got no mark in time: in batches, at a bounded rate, after live."""

import asyncio

from qytet_contract import topics
from qytet_edge.uplink import payloads
from qytet_edge.uplink.identity import Identity
from qytet_edge.uplink.line import Fate, Line
from qytet_edge.uplink.manners import Manners
from qytet_edge.uplink.pace import LEAST_BYTES, Pace
from qytet_edge.uplink.store import Store
from qytet_edge.uplink.window import Window
from qytet_edge.uplink.windows import Windows

__all__ = ["BackfillSender"]


class BackfillSender:
    """Reads the spool and sends batches. On a metered link it is the only sender, and opens only now and then."""

    def __init__(
        self, line: Line, store: Store, windows: Windows, identity: Identity, manners: Manners
    ) -> None:
        self._line = line
        self._store = store
        self._windows = windows
        self._identity = identity
        self._manners = manners
        self._pace = Pace(manners.backfill_rate, manners.batch_records)
        self._bell = line.bell()
        self._in_flight = 0
        self._open = manners.metered is None
        self._closed_at = -1e9

    async def run(self) -> None:
        """Send for ever."""
        while True:
            await self._line.up.wait()
            self._bell.clear()
            if self._blocked():
                await self._bell.wait()
            else:
                await asyncio.sleep(await self._round())

    async def _round(self) -> float:
        """Send one batch if one may go out; returns seconds until there may be another."""
        if self._line.clock() - self._windows.looked_at >= self._manners.look_s:
            await self._windows.look()
            self._windows.tick()
        if not self._gate():
            return self._manners.look_s
        if self._blocked():
            return 0
        self._pace.fill(self._line.clock())
        if wait := self._pace.wait():
            return min(wait, self._manners.look_s)
        for window in self._windows.in_turn():
            if await self._send_from(window):
                return 0
        if self._manners.metered and not self._windows.unsent:
            self._open, self._closed_at = False, self._line.clock()
        return self._manners.look_s

    def _gate(self) -> bool:
        """Whether the link may be used; on a metered one only when enough waits, or something for long enough."""
        metered = self._manners.metered
        if metered is None or self._open:
            return True
        fresh = self._store.fresh
        while len(fresh):  # they are in the spool, too, and nobody else takes them
            fresh.take(1000)
        waited = self._line.clock() - self._closed_at >= metered.interval_s
        self._open = waited or self._windows.unsent >= metered.records
        return self._open

    def _blocked(self) -> bool:
        """Whether only a change of the line can make room: live records wait, or enough backfill is in flight."""
        line, manners = self._line, self._manners
        live_waits = manners.metered is None and len(self._store.fresh) > 0
        full = line.backfill_in_flight > 0 and self._in_flight >= self._pace.allowance
        return live_waits or full or line.room <= 0 or line.backfill_in_flight >= manners.backfill_share

    async def _send_from(self, window: Window) -> bool:
        """Send this boot's next batch, or the word about its losses; whether anything was read or sent."""
        seq = window.next_unsent() if window.room > 0 else 0
        if not seq:
            if window.must_tell(self._line.clock()):
                self._send(window, [], [])
                return True
            return False
        most = min(self._pace.batch, window.room)
        room = min(self._line.batch_bytes, max(self._pace.allowance - self._in_flight, LEAST_BYTES))
        records = await self._store.read(window.device, window.boot, seq - 1, most, room)
        window.read_to(records[-1].seq if records else window.highest)
        if not self._line.up.is_set():
            return True
        rows: list[bytes] = []
        seqs: list[int] = []
        for record in records:
            if window.is_out(record.seq):  # it went out live while we read
                continue
            row = payloads.row(record)
            if rows and len(row) > room:
                window.read_to(record.seq - 1)
                break
            rows.append(row)
            seqs.append(record.seq)
            room -= len(row) + 1
        if rows:
            self._send(window, seqs, rows)
        return True

    def _send(self, window: Window, seqs: list[int], rows: list[bytes]) -> None:
        line, now = self._line, self._line.clock()
        for seq in seqs:
            line.totals.resent += window.sent(seq, now, live=False)
        line.totals.backfilled += len(seqs)
        window.told(now)
        self._pace.spend(max(len(seqs), 1))
        payload = payloads.hist(window.boot, window.lo, rows)
        size = len(payload)
        self._in_flight += size

        def done(fate: Fate) -> None:
            self._in_flight -= size
            if fate == "acked":
                self._pace.acked(line.clock() - now, size)
            elif fate == "lost":
                window.unsend(seqs)

        topic = self._identity.topic(window.device, topics.HIST)
        line.publish(topic, payload, done=done, backfill=True)
