"""Live records: out as soon as they are durable, before any backfill."""

from qytet_contract import topics
from qytet_edge.records import Record
from qytet_edge.uplink import payloads
from qytet_edge.uplink.identity import Identity
from qytet_edge.uplink.line import Line
from qytet_edge.uplink.manners import Manners
from qytet_edge.uplink.store import Store
from qytet_edge.uplink.window import Window
from qytet_edge.uplink.windows import Windows

__all__ = ["LiveSender"]

MOST_SINGLE = 10
"""Records of one boot that came at once and still go out one by one; more travel together."""


class LiveSender:
    """Sends what the spool has just kept. What it cannot send stays in the spool, for the backfill."""

    def __init__(
        self, line: Line, store: Store, windows: Windows, identity: Identity, manners: Manners
    ) -> None:
        self._line = line
        self._store = store
        self._windows = windows
        self._identity = identity
        self._manners = manners
        self._bell = line.bell()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            await self._store.fresh.wait()
            self._bell.clear()
            room = self._line.room
            if room > 0:
                self.send(self._store.fresh.take(room))
                self._line.ring()  # the backfill may have waited for us
            else:
                await self._bell.wait()

    def send(self, records: list[Record]) -> None:
        """Hand these over, as one message each or, if many of one boot came at once, together."""
        by_boot: dict[tuple[str, str], list[Record]] = {}
        for record in records:
            by_boot.setdefault((record.device, record.boot), []).append(record)
        for (device, boot), own in by_boot.items():
            window = self._windows.of(device, boot)
            if not window.may_go_live:
                continue
            wanted = [record for record in own if not window.is_out(record.seq)]
            if len(wanted) > MOST_SINGLE:
                self._send_together(window, wanted)
            else:
                for record in wanted:
                    self._send(window, topics.OBS, payloads.obs(record), [record.seq])

    def _send_together(self, window: Window, records: list[Record]) -> None:
        rows: list[bytes] = []
        seqs: list[int] = []
        room = self._line.batch_bytes
        for record in records:
            row = payloads.row(record)
            if rows and (len(rows) >= self._manners.batch_records or room < len(row)):
                self._send(window, topics.HIST, payloads.hist(window.boot, window.lo, rows), seqs)
                rows, seqs, room = [], [], self._line.batch_bytes
            rows.append(row)
            seqs.append(record.seq)
            room -= len(row) + 1
        self._send(window, topics.HIST, payloads.hist(window.boot, window.lo, rows), seqs)

    def _send(self, window: Window, kind: str, payload: bytes, seqs: list[int]) -> None:
        totals, now = self._line.totals, self._line.clock()
        for seq in seqs:
            totals.resent += window.sent(seq, now, live=True)
        totals.live += len(seqs)
        topic = self._identity.topic(window.device, kind)
        self._line.publish(topic, payload, done=lambda fate: window.unsend(seqs) if fate == "lost" else None)
