"""Keeps every source at work: a task each, a deadline by its own signs of life, restarts after growing pauses.

A source that raises, returns or shows no progress within its `deadline_s` is stopped, counted and started
again; no other source notices. One that does not even heed its cancellation is never doubled (two readers on
one port): it stays "stuck", is told to end ever more rarely, and is started again when it has.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from qytet import log
from qytet_edge.desk import Account, Desk, Store
from qytet_edge.ending import ended
from qytet_edge.pauses import Pauses
from qytet_edge.ports import Source
from qytet_edge.records import Reading
from qytet_edge.threads import OWNER

__all__ = ["Patience", "Supervisor"]

_log = log.get("supervisor")
_AGAIN = 1.5
"""Times `Patience.ending`: whoever is told to end again within that could not wait for what it holds."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: the first and the longest pause before a restart; a run that long has earned the first pause again;
    what a cancelled source may take to end before it counts as stuck."""

    first: float = 1.0
    most: float = 300.0
    well: float = 60.0
    ending: float = 5.0


class Supervisor:
    """Runs sources; `accounts` tells how each is."""

    def __init__(
        self,
        store: Store,
        *,
        accepted: Callable[[Sequence[Reading]], None] | None = None,
        patience: Patience | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.accounts: dict[str, Account] = {}
        self._store = store
        self._accepted = accepted
        self._patience = patience or Patience()
        self._now = now

    async def run(self, sources: Iterable[Source]) -> None:
        """Keep the sources at work until cancelled; then give them `ending` seconds to close what they hold."""
        tasks = []
        for source in sources:
            account = self.accounts[source.name] = Account(source.name, self._now)
            tasks.append(asyncio.create_task(self._keep(source, account), name=f"source {source.name}"))
        try:
            await asyncio.gather(*tasks)
        finally:
            await ended(*tasks, again_s=_AGAIN * self._patience.ending)
            await asyncio.gather(*tasks, return_exceptions=True)  # so that no error counts as never looked at

    async def _keep(self, source: Source, account: Account) -> None:
        OWNER.set(source.name)
        pauses = Pauses(self._patience.first, self._patience.most)
        try:
            while True:
                began = self._now()
                account.trouble(await self._once(source, account))
                if self._now() - began >= self._patience.well:
                    pauses.reset()
                account.restarts += 1
                account.state = "waiting"
                await asyncio.sleep(pauses.next())
        finally:
            account.state = "stopped"

    async def _once(self, source: Source, account: Account) -> str:
        """One run of a source; returns why it ended."""
        desk = Desk(account, self._store, self._accepted)
        account.state = "running"
        account.progress()
        task = asyncio.create_task(source.run(desk), name=f"run {source.name}")
        try:
            return await self._watched(task, source, account)
        finally:
            if not task.done():
                await self._abandon(task, account)
            desk.close()  # not before: its last act may be to keep how far it came

    async def _watched(self, task: "asyncio.Task[None]", source: Source, account: Account) -> str:
        while not task.done():
            left = self._left(source, account)
            if left <= 0:
                await self._end(task, account)
                return f"no progress for {source.deadline_s:.0f} s"
            await asyncio.wait({task}, timeout=None if math.isinf(left) else left)
        return _why(task)

    def _left(self, source: Source, account: Account) -> float:
        """Seconds until the source's deadline; while it waits for the disk, the deadline stands still."""
        if account.putting:
            account.progress()
        return source.deadline_s - (self._now() - account.progress_at)

    async def _end(self, task: "asyncio.Task[None]", account: Account) -> None:
        """Cancel a run until it has ended, however long it takes."""
        patience = self._patience.ending
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=patience)
            if not task.done() and account.state != "stuck":
                account.state = "stuck"
                account.trouble(f"does not end when it is told to ({patience:.0f} s)")
            patience = min(patience * 2, self._patience.most)
        _why(task)

    async def _abandon(self, task: "asyncio.Task[None]", account: Account) -> None:
        """The gateway stops: a run gets its time to close what it holds, and no more."""
        task.cancel()
        await asyncio.wait({task}, timeout=self._patience.ending)
        if task.done():
            _why(task)
        else:
            _log.error("abandoned", source=account.name, why="it does not end when it is told to")


def _why(task: "asyncio.Task[None]") -> str:
    """Why a run ended, in words; the traceback of what nobody foresaw goes to the log."""
    if task.cancelled():
        return "it cancelled itself"
    error = task.exception()
    if error is None:
        return "it returned, which a source never does"
    if not isinstance(error, OSError):
        _log.warning("source failed", source=task.get_name(), exc_info=error)
    if isinstance(error, OSError) and str(error):  # said to whoever stands before the cabinet
        return str(error)[:300]
    return f"{type(error).__name__}: {error}"[:300]
