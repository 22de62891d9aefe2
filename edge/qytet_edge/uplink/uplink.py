"""The uplink as a whole: connects without end, greets, and runs the senders and what listens."""

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from qytet import log
from qytet.errors import QytetError
from qytet_contract import topics
from qytet_edge.pauses import Pauses
from qytet_edge.ports import Marks
from qytet_edge.uplink import payloads
from qytet_edge.uplink.address import Address
from qytet_edge.uplink.backfill import BackfillSender
from qytet_edge.uplink.connection import Connection, Will
from qytet_edge.uplink.hearing import Command, Hearing
from qytet_edge.uplink.identity import Identity
from qytet_edge.uplink.line import Line
from qytet_edge.uplink.live import LiveSender
from qytet_edge.uplink.manners import Manners
from qytet_edge.uplink.notices import NoticeSender
from qytet_edge.uplink.store import Store
from qytet_edge.uplink.windows import Windows

__all__ = ["State", "Uplink"]

SETTLED_S = 10.0
"""A connection that stood so long was a good one: the next attempt need not wait."""
TELL_S = 600.0
"""Seconds between two log lines about the same failure to connect."""

_log = log.get("uplink")


PATIENCE_S = 120.0
"""A city that stores confirms within seconds; whose device waits longer on a good line has a reason."""
MOST_UNCONFIRMED = 100


class Unconfirmed(msgspec.Struct, frozen=True):
    """A device of which the city has confirmed nothing for `for_s` seconds of connection, and what waits for it."""

    device: str
    records: int
    for_s: float


class State(msgspec.Struct, frozen=True):
    """How the uplink is, for status and health; seconds are ages, None is never."""

    broker: str
    connected: bool
    since_s: float
    refusal: str
    in_flight: int
    unsent: int
    unmarked: int
    connects: int
    messages: int
    bytes_sent: int
    live: int
    backfilled: int
    resent: int
    refused: int
    strange: int
    marks: int
    commands: int
    last_puback_s: float | None
    last_mark_s: float | None
    unconfirmed: list[Unconfirmed]
    """While connected: devices that have waited longer than `PATIENCE_S`, the longest first; not all of very many."""


class Uplink:
    """Carries what the spool keeps to the city's broker. `run` it in a task; cancelled, it says goodbye in order.

    `command(ident, payload)` gets the gateway's own commands, `marks` the marks and commands of nodes behind it.
    Both should return soon: the next one waits for them.
    """

    def __init__(
        self,
        store: Store,
        address: Address,
        identity: Identity,
        manners: Manners | None = None,
        *,
        marks: Marks | None = None,
        command: Command | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._address = address
        self._identity = identity
        self._manners = manners or Manners()
        self._line = Line(self._manners, clock)
        self._windows = Windows(store, self._manners, clock)
        self._live = LiveSender(self._line, store, self._windows, identity, self._manners)
        self._backfill = BackfillSender(self._line, store, self._windows, identity, self._manners)
        self._notices = NoticeSender(self._line, store, identity)
        self._hearing = Hearing(self._line, store, self._windows, identity, marks=marks, command=command)
        self._connection: Connection | None = None
        self._room = self._line.bell()
        self._told: tuple[str, float] = ("", 0.0)

    async def run(self) -> None:
        """Work until cancelled; then the state `offline` goes out, if there is a line, and the connection is closed."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_connected(), name="uplink")
                tasks.create_task(self._backfill.run(), name="uplink backfill")
                tasks.create_task(self._notices.run(), name="uplink notices")
                tasks.create_task(self._hearing.pass_marks_on(), name="uplink marks")
                tasks.create_task(self._hearing.pass_commands_on(), name="uplink commands")
                if self._manners.metered is None:
                    tasks.create_task(self._live.run(), name="uplink live")
        finally:
            await self._farewell()

    async def connected(self) -> None:
        """Return when the line is up."""
        await self._line.up.wait()

    async def greet(self) -> None:
        """Say birth and state of all that is ours anew, as the city may ask; waits for room on the line."""
        lowest = {(one.device, one.boot): one.lo for one in await self._store.held()}
        for device in self._identity.devices:  # 1, where nothing is held, claims no loss
            await self._say_hello(device, lowest.get((device, self._store.boot), 1))

    def state(self) -> State:
        """How the uplink is now."""
        line, totals = self._line, self._line.totals
        now = line.clock()
        return State(
            broker=str(self._address),
            connected=line.up.is_set(),
            since_s=now - line.since,
            refusal=line.refusal,
            in_flight=line.in_flight,
            unsent=self._windows.unsent,
            unmarked=self._windows.outstanding,
            connects=totals.connects,
            messages=totals.messages,
            bytes_sent=totals.bytes,
            live=totals.live,
            backfilled=totals.backfilled,
            resent=totals.resent,
            refused=totals.refused,
            strange=totals.strange,
            marks=totals.marks,
            commands=totals.commands,
            last_puback_s=None if totals.puback_at is None else now - totals.puback_at,
            last_mark_s=None if totals.mark_at is None else now - totals.mark_at,
            unconfirmed=self._unconfirmed() if line.up.is_set() else [],
        )

    def _unconfirmed(self) -> list[Unconfirmed]:
        found = [Unconfirmed(name, *waiting) for name, waiting in self._windows.unconfirmed().items()]
        return [one for one in found if one.for_s >= PATIENCE_S][:MOST_UNCONFIRMED]

    async def _keep_connected(self) -> None:
        pauses = Pauses(*self._manners.retry_s)
        while True:
            try:
                lasted = await self._connect()
            except QytetError as error:
                self._line.down(error.why or error.what)
                self._tell(error)
            else:
                if lasted >= SETTLED_S:
                    pauses.reset()
            await asyncio.sleep(pauses.next())

    async def _connect(self) -> float:
        """One connection's whole life, in seconds. Raises QytetError if it does not even begin."""
        boot = self._store.boot
        connection = self._make_connection(boot)
        try:
            opened = await connection.open()
        except BaseException:
            connection.abandon()
            raise
        self._connection = connection
        connection.subscribe(self._identity.filters())
        self._store.fresh.clear()  # kept while there was no line: not live any more
        self._windows.reconnected()
        self._notices.reconnected()
        self._line.opened(connection, opened.receive_maximum, opened.packet_maximum)
        _log.info("connected", broker=str(self._address), session_present=opened.session_present)
        greeting = asyncio.create_task(self._greet(), name="uplink greeting")
        try:
            await self._watch(connection, boot)
        finally:
            greeting.cancel()
        lasted = self._line.clock() - self._line.since
        self._connection = None
        connection.abandon()
        reason = connection.ended.result() if connection.ended.done() else "given up"
        self._line.down(reason)
        _log.warning("disconnected", broker=str(self._address), why=reason)
        return lasted

    def _make_connection(self, boot: str) -> Connection:
        gateway = self._identity.gateway
        will = Will(self._identity.topic(gateway, topics.STATE), payloads.state(boot, "lost"))
        connection = Connection(
            self._address,
            gateway,
            self._manners,
            will=will,
            heard=lambda message: self._hearing.heard(connection, message),
            acked=lambda mid, refusal: self._line.acknowledged(connection, mid, refusal),
        )
        return connection

    async def _watch(self, connection: Connection, boot: str) -> None:
        """Return when the connection has ended, is dead, or speaks for a boot that is over."""
        while not connection.ended.done():
            await asyncio.wait((connection.ended,), timeout=self._manners.look_s)
            if self._line.stalled:
                _log.warning("stalled", broker=str(self._address), in_flight=self._line.in_flight)
                return
            if self._store.boot != boot:
                await connection.close(self._manners.farewell_s)
                return

    async def _greet(self) -> None:
        try:
            await self.greet()
        except QytetError as error:  # the spool is closing
            _log.warning("no_greeting", why=str(error))

    async def _say_hello(self, device: str, lo: int) -> None:
        identity, boot = self._identity, self._store.boot
        keys: Sequence[str] = identity.streams.get(device, ())
        if keys:
            birth = payloads.birth(boot, lo, identity.firmware, identity.board, keys)
            await self._say(identity.topic(device, topics.BIRTH), birth)
        await self._say(identity.topic(device, topics.STATE), payloads.state(boot, "ready"))

    async def _say(self, topic: str, payload: bytes) -> None:
        while self._line.room <= 0:
            self._room.clear()
            await self._room.wait()
        self._line.publish(topic, payload, retain=True)

    async def _farewell(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(self._manners.farewell_s):
                for device in self._identity.devices:
                    word = payloads.state(self._store.boot, "offline")
                    await self._say(self._identity.topic(device, topics.STATE), word)
                while self._line.in_flight and self._line.up.is_set() and not connection.ended.done():
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            _log.info("no_farewell", broker=str(self._address))
        await connection.close(self._manners.farewell_s)
        self._line.down("stopped")

    def _tell(self, error: QytetError) -> None:
        """Log a failure to connect once, then every ten minutes, and whenever its cause changes."""
        why, at = self._told
        now = self._line.clock()
        if error.why != why or now - at >= TELL_S:
            self._told = (error.why, now)
            _log.warning("city_unreachable", broker=str(self._address), why=str(error))
