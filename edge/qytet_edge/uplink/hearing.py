"""What the city says: `stored` marks, which free the spool and are passed on to nodes, and commands."""

import asyncio
from collections.abc import Awaitable, Callable

from qytet import log
from qytet_contract import topics
from qytet_contract.codes import ContractError
from qytet_edge.ports import Marks
from qytet_edge.uplink import payloads
from qytet_edge.uplink.connection import Connection, Message
from qytet_edge.uplink.identity import Identity
from qytet_edge.uplink.line import Line
from qytet_edge.uplink.store import Store
from qytet_edge.uplink.windows import Windows

__all__ = ["Command", "Hearing"]

MOST_COMMANDS = 1000
"""Commands that wait; beyond, the broker keeps them."""

Command = Callable[[str, bytes], Awaitable[None]]

_log = log.get("uplink")


class Hearing:
    """Takes messages in at once and works through them in two tasks: marks (the newest of a boot) and commands."""

    def __init__(
        self,
        line: Line,
        store: Store,
        windows: Windows,
        identity: Identity,
        *,
        marks: Marks | None,
        command: Command | None,
    ) -> None:
        self._line = line
        self._store = store
        self._windows = windows
        self._identity = identity
        self._marks = marks
        self._command = command
        self._newest: dict[tuple[str, str], int] = {}
        self._news = asyncio.Event()
        self._commands: asyncio.Queue[tuple[Connection, int, str, str, bytes]] = asyncio.Queue(MOST_COMMANDS)

    def heard(self, connection: Connection, message: Message) -> None:
        """A message arrived."""
        found = self._identity.addressee(message.topic)
        if found is None or found[1] not in (topics.STORED, topics.CMD):
            self._strange(message, "nothing that the city says to us")
            connection.acknowledge(message.mid)
            return
        device, kind, ident = found
        if kind == topics.STORED:
            self._mark(device, message)
            connection.acknowledge(message.mid)
        elif not self._commands.full():
            self._commands.put_nowait((connection, message.mid, device, ident, message.payload))
        # else: not acknowledged, so that the broker brings it again on the next connection

    async def pass_marks_on(self) -> None:
        """Free the spool and tell nodes, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            newest, self._newest = self._newest, {}
            # All at once: the spool writes them in one transaction, however long it gathers.
            await asyncio.gather(*(self._pass_on(*key, seq) for key, seq in newest.items()))

    async def pass_commands_on(self) -> None:
        """Hand commands over in order, for ever; the broker keeps each until its handler has returned."""
        while True:
            connection, mid, device, ident, payload = await self._commands.get()
            self._line.totals.commands += 1
            if device == self._identity.gateway:
                if self._command is not None:
                    await self._attempt("command", device, self._command(ident, payload))
            elif self._marks is not None:
                await self._attempt("command", device, self._marks.command(device, ident, payload))
            connection.acknowledge(mid)

    async def _pass_on(self, device: str, boot: str, seq: int) -> None:
        window = self._windows.find(device, boot)
        if window is not None:
            window.marked(seq, self._line.clock())
        await self._store.mark(device, boot, seq)
        if self._marks is not None and not self._identity.is_own(device):
            await self._attempt("mark", device, self._marks.stored(device, boot, seq))

    def _mark(self, device: str, message: Message) -> None:
        try:
            mark = payloads.stored(message.payload)
        except ContractError as error:
            self._strange(message, str(error))
            return
        self._line.totals.marks += 1
        self._line.totals.mark_at = self._line.clock()
        key = (device, mark.boot)
        self._newest[key] = max(mark.seq, self._newest.get(key, 0))
        self._news.set()

    def _strange(self, message: Message, why: str) -> None:
        self._line.totals.strange += 1
        _log.debug("strange_message", topic=message.topic[:200], why=why)

    async def _attempt(self, what: str, device: str, work: Awaitable[None]) -> None:
        """Whoever it is for may fail: that must not stop the marks of others."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 (counted and logged; a lost mark comes again)
            _log.warning("not_passed_on", what=what, device=device, why=str(error) or type(error).__name__)
