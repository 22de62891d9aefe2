"""The spool as the rest of the gateway sees it: an async face of the writer's thread."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from qytet_edge.records import Checkpoint, Notice, Reading, Record, Relayed
from qytet_edge.spool import accept
from qytet_edge.spool.change import Change
from qytet_edge.spool.fresh import Fresh
from qytet_edge.spool.host import Host
from qytet_edge.spool.model import Held, Limits, State
from qytet_edge.spool.moments import Moments
from qytet_edge.spool.store import Store
from qytet_edge.spool.writer import Writer

__all__ = ["Spool"]

T = TypeVar("T")
Stamp = Callable[[], tuple[int | None, str]]


def _undated() -> tuple[int | None, str]:
    return None, "none"


class Spool:
    """Every record is durable here before anything else hears of it, and stays until the city has stored it.

    Use it as an async context manager, from one event loop. `stamp` says what time it is and how that is known
    (Unix milliseconds or None, and a key of `codes.TIME_QUALITIES`); it dates readings that bring no time.
    Every write returns when it is durable. While the disk takes nothing, writes wait, and reads go on.
    A cancelled write is wholly kept or not at all; whoever asks for its checkpoint afterwards learns which.

    `fresh`: records just kept (own ones, and relayed ones that came live: those whose `lo` is None).
    `notice_kept`: set whenever a notice is kept; its user clears it before calling `notices`.
    """

    def __init__(
        self, path: Path, limits: Limits | None = None, stamp: Stamp = _undated, *, host: Host | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.fresh = Fresh(self.limits.fresh)
        self.notice_kept = asyncio.Event()
        self._stamp = stamp
        self._moments = Moments()
        self._host = host or Host()
        self._writer = Writer(path, self.limits, self._host)

    async def __aenter__(self) -> Self:
        """Open the file, mend or set aside what is broken. Raises SpoolError if the folder cannot be used."""
        await asyncio.to_thread(self._writer.open)
        self._writer.start(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep what waits, if the disk takes it, and close. Writes that could not be kept raise SpoolError."""
        await asyncio.to_thread(self._writer.close)

    @property
    def boot(self) -> str:
        """The numbering of our own records now. A corrupt file set aside at run time begins another one."""
        return self._writer.boot

    def up_ms(self) -> int:
        """Milliseconds since `boot` began, for messages that carry `up`: the machine's own uptime."""
        return self._host.up_ms()

    def state(self) -> State:
        """How the spool is, without waiting for anything."""
        return self._writer.state()

    def busy_s(self) -> float:
        """How long the writer has been at what it does now; 0 if it is idle, infinite if it has failed."""
        return self._writer.busy_s()

    async def put(self, readings: Sequence[Reading], checkpoint: Checkpoint | None = None) -> None:
        """See `ports.Sink.put`."""
        dated = accept.date(readings, self._stamp, self.up_ms(), self._moments)
        if not dated and checkpoint is None:
            return
        self.fresh.extend(await self._write(lambda change: change.put(dated, checkpoint)))

    async def relay(self, records: Sequence[Relayed]) -> None:
        """See `ports.Sink.relay`. Raises ContractError before anything is kept if a number cannot be one."""
        accept.check_relayed(records)
        if not records:
            return
        kept, notices = await self._write(lambda change: change.relay(records))
        self.fresh.extend(kept)
        if notices:
            self.notice_kept.set()

    async def holds(self, device: str, boot: str, lo: int) -> None:
        """A nearby node says that it holds nothing below `lo` of this boot any more (a `hist` without rows, a birth).

        The city hears of it by `Held.lo`, but never before it has got what is still held here.
        """
        accept.check_numbering(device, boot, lo)
        await self._write(lambda change: change.holds(device, boot, lo))

    async def notify(self, notice: Notice) -> None:
        """See `ports.Sink.notify`. Raises ContractError if it has no possible topic, or more than 1 MiB."""
        accept.check_notice(notice)
        await self._write(lambda change: change.notify(notice))
        self.notice_kept.set()

    async def checkpoint(self, source: str) -> bytes | None:
        """See `ports.Sink.checkpoint`."""
        return await self._read(lambda store: store.checkpoint(source))

    async def held(self) -> list[Held]:
        """Every numbering that has something to send or to tell; those of which all is marked are left out."""
        return await self._read(lambda store: store.held())

    async def known(self, device: str, boot: str) -> int | None:
        """The city's mark of this numbering as far as it is known here (0: none yet); None if it is unknown."""
        return await self._read(lambda store: store.known(device, boot))

    async def read(self, device: str, boot: str, after_seq: int, limit: int, max_bytes: int) -> list[Record]:
        """Records of one numbering above `after_seq` and its mark, ascending.

        At most `limit` of them, and at most `max_bytes` as rows of a `hist` (but one, if there is any).
        """
        return await self._read(lambda store: store.read(device, boot, after_seq, limit, max_bytes))

    async def mark(self, device: str, boot: str, seq: int) -> None:
        """The city accounts for everything of this numbering up to `seq`: let it go. An unknown one is ignored."""
        await self._write(lambda change: change.mark(device, boot, seq), frees=True)

    async def notices(self, limit: int, after: int = 0) -> list[tuple[int, Notice]]:
        """The oldest notices with their ids, ascending, of those above id `after`."""
        return await self._read(lambda store: store.notices(limit, after))

    async def noticed(self, ids: Sequence[int]) -> None:
        """The city's broker has these notices: let them go. Ids that are gone already are ignored."""
        if ids:
            await self._write(lambda change: change.noticed(ids), frees=True)

    async def _write(self, stage: Callable[[Change], T], *, frees: bool = False) -> T:
        return await self._writer.desk.write(stage, frees=frees)

    async def _read(self, look: Callable[[Store], T]) -> T:
        return await self._writer.desk.ask(look)
