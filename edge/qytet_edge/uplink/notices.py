"""Messages that are no records, on their way from the spool: births and states of nodes, logs, acks."""

from qytet_contract import topics
from qytet_edge.records import Notice
from qytet_edge.uplink import payloads
from qytet_edge.uplink.identity import Identity
from qytet_edge.uplink.line import Fate, Line
from qytet_edge.uplink.store import Store

__all__ = ["NoticeSender"]

MOST = 50
"""Notices in flight."""


class NoticeSender:
    """Sends notices in the order in which they were kept, until the broker has each.

    One that the broker refuses stays in the spool and goes out again on the next connection.
    """

    def __init__(self, line: Line, store: Store, identity: Identity) -> None:
        self._line = line
        self._store = store
        self._identity = identity
        self._room = line.bell()
        self._after = 0
        self._connections = 0
        self._flying = 0
        self._done: list[int] = []

    async def run(self) -> None:
        """Send for ever."""
        while True:
            await self._line.up.wait()
            self._room.clear()
            self._store.notice_kept.clear()
            if self._done:
                done, self._done = self._done, []
                await self._store.noticed(done)
            elif self._flying >= MOST or self._line.room <= 0:
                await self._room.wait()
            elif not await self._send():
                await self._store.notice_kept.wait()

    def reconnected(self) -> None:
        """A new connection stands: begin again with the oldest."""
        self._after = 0
        self._connections += 1
        self._store.notice_kept.set()

    async def _send(self) -> bool:
        """Send what may go out; whether there was anything."""
        connection = self._connections
        found = await self._store.notices(MOST - self._flying, self._after)
        for ident, notice in found:
            payload = await self._payload(notice)
            if self._connections != connection:
                return True  # a new one came while the disk was slow: what the old one lost lies below these
            if self._line.room <= 0:
                break
            self._after = ident
            self._publish(ident, notice, payload)
        return bool(found)

    async def _payload(self, notice: Notice) -> bytes:
        if notice.kind != topics.BIRTH or self._identity.is_own(notice.device):
            return notice.payload
        held = await self._store.held()
        return payloads.lower_birth(
            notice.payload, {one.boot: one.lo for one in held if one.device == notice.device}
        )

    def _publish(self, ident: int, notice: Notice, payload: bytes) -> None:
        self._flying += 1

        def done(fate: Fate) -> None:
            self._flying -= 1
            if fate == "acked":
                self._done.append(ident)
            self._store.notice_kept.set()

        topic = self._identity.topic(notice.device, notice.kind)
        self._line.publish(topic, payload, done=done, retain=notice.retain)
