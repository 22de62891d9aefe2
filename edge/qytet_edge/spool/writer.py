"""The thread that owns the file: group commit, reads in between, and what to do when the disk is full or broken."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from qytet.log import get
from qytet_edge.spool import bounds, salvage
from qytet_edge.spool.change import Change
from qytet_edge.spool.desk import Desk, Job
from qytet_edge.spool.faults import Fault, classify
from qytet_edge.spool.host import Host
from qytet_edge.spool.model import Limits, SpoolError, State
from qytet_edge.spool.store import Store

__all__ = ["Writer"]

_IDLE_S = 5.0
"""How often the bounds are looked at while nothing is written."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0
_DISTRUST = 3
"""After so many read errors in a row a file is set aside: its card has sectors that no longer speak."""
_UNREADABLE = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)
_log = get("spool")


class Writer:
    """Between `start` and `close` only its thread touches the file."""

    def __init__(self, path: Path, limits: Limits, host: Host) -> None:
        self.path = path
        self.limits = limits
        self.host = host
        self.desk = Desk()
        self._store: Store | None = None
        self._known: Store | None = None
        """The store that was opened last, also while it is not open: what memory knows stays true."""
        self._distrusted = self._failed = False
        self._doubt: tuple[Sequence[Job[Any]], Change] | None = None
        self._more = self._puzzled = False
        self._pause_s = self._retry_at = 0.0
        self._full_since_ms: int | None = None
        self._full_why = ""
        self._read_errors = self._salvaged = 0
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    def open(self) -> None:
        """Open or create the file. Raises SpoolError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._beat()
            self._open()
        except (sqlite3.Error, OSError) as error:
            raise _cannot_open(self.path, error) from error
        finally:
            self._busy_since = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to serve this event loop."""
        self.desk.open(loop)
        self._thread.start()

    def close(self) -> None:
        """Commit what waits if the disk takes it, refuse the rest, and close the file."""
        self.desk.shut()
        self._thread.join()

    @property
    def boot(self) -> str:
        """The boot under which own records are numbered now."""
        return "" if self._known is None else self._known.boot

    def busy_s(self) -> float:
        """How long it has been at its present piece of work; 0 if it waits for some, infinite if it has failed."""
        since = self._busy_since
        if since is None:
            return float("inf") if self._failed else 0.0
        return monotonic() - since

    def state(self) -> State:
        """Numbers only, from any thread; each is true, together they may be one transaction apart."""
        store = self._known
        if store is None:
            return State()
        oldest = store.oldest_s
        return State(
            boot=store.boot,
            records=store.records,
            notices=store.notice_count,
            bytes=store.used_bytes,
            limit_bytes=self.limits.bytes,
            log_bytes=_size(self.path.with_name(f"{self.path.name}-wal")),
            oldest_age_s=None if oldest is None else store.run_s() - oldest,
            dropped=int(store.meta.get("dropped", 0)),
            let_go=int(store.meta.get("let_go", 0)),
            notices_dropped=int(store.meta.get("notices_dropped", 0)),
            duplicates=store.duplicates,
            conflicts=store.conflicts,
            full_since_ms=self._full_since_ms,
            full_why=self._full_why,
            set_aside=tuple(path.name for path in salvage.aside(self.path)),
            salvaged=self._salvaged,
            commits=store.commits,
            written_bytes=self.host.written_bytes(),
            waiting=self.desk.waiting,
        )

    # What follows runs in the thread, but for the first opening.

    def _run(self) -> None:
        try:
            while self.desk.wait(self._due, _IDLE_S):
                self._turn()
            self._turn()
        except Exception:  # noqa: BLE001  # whoever waits is told below, and the watchdog sees a spool that is closed
            self._failed = True
            _log.exception("the spool's thread has failed")
        self._end()

    def _due(self, now: float) -> float:
        """When there is something to do."""
        if self._store is None:
            return self._retry_at
        if self.desk.has_asks:
            return now
        if self._more:
            return self._retry_at
        since = self.desk.first_since()
        if since is None:
            return float("inf")
        return max(since + self.limits.commit_ms / 1000, self._retry_at)

    def _turn(self) -> None:
        """Answer, commit one group, do one piece of upkeep. What fails is tried again after a pause."""
        self._beat()
        try:
            store = self._store or self._open()
            self.desk.answer_asks(store)
            self.desk.deliver()
            full = self._commit(store)
            self.desk.deliver()
            self._more = bounds.tend(store)  # on a full disk, too: what is marked makes room
            if full is None:
                self._well()
            else:
                self._hold(full, at_once=self._more)
        except Exception as error:  # noqa: BLE001  # what the world cannot have caused is raised again
            self._fault(error)
        finally:
            self.desk.deliver()
            self._busy_since = None

    def _beat(self) -> None:
        """A piece of work begins."""
        self._busy_since = monotonic()

    def _commit(self, store: Store) -> str | None:
        """One transaction for all that waits; on a full disk one for what frees room, and why the others wait."""
        since = self.desk.first_since()
        if since is None or not (self.desk.closing or monotonic() >= self._due(monotonic())):
            return None
        jobs = self.desk.jobs()
        full = self._no_room(store)
        if full is None:
            try:
                self._apply(store, jobs)
            except sqlite3.Error as error:
                if classify(error) is not Fault.FULL:
                    raise
                full = str(error)
                self._doubt = None  # this connection knows that it has not happened
                store.recycle_log()
        if full is not None:
            self._apply(store, [job for job in jobs if job.frees])
        return None if all(job.frees for job in jobs) else full

    def _no_room(self, store: Store) -> str | None:
        """Why nothing may come in now, if so."""
        # The file never shrinks: what is free inside of it is room, too, or a disk that it has filled stays full.
        free = self.host.free_bytes(self.path.parent) + store.free_bytes
        if free < self.limits.spare_bytes:
            return f"{free} bytes are free on the disk; {self.limits.spare_bytes} are kept in reserve"
        if bounds.crowded(store):
            return "the intake is full and cannot be sorted"
        return None

    def _apply(self, store: Store, jobs: Sequence[Job[Any]]) -> None:
        """Commit these writes and answer them; one that fails by a mistake of ours fails alone."""
        if not jobs:
            return
        try:
            results = store.apply([job.stage for job in jobs])
        except Exception as error:
            if classify(error) is not Fault.BUG:
                if store.attempt is not None:
                    self._doubt = jobs, store.attempt
                raise
            if len(jobs) == 1:
                _log.exception("a write has failed")
                self.desk.done(jobs, [None], error)
                return
            for job in jobs:
                self._apply(store, [job])
            return
        self.desk.done(jobs, results)

    def _open(self) -> Store:
        """Open the file (anew); raises sqlite3.Error or OSError."""
        if self._distrusted:
            salvage.set_aside(self.path, self._known)
            self._distrusted = False
        known = self._known
        store, copied = salvage.open_store(self.path, self.limits, self.host, known, self._beat)
        self._salvaged += copied
        if known is not None:
            store.inherit(known)
        if self._doubt is not None and store.has(self._doubt[1]):
            self.desk.done(self._doubt[0], self._doubt[1].results)
        self._doubt = None
        self._store = self._known = store
        return store

    def _fault(self, error: Exception) -> None:
        """Decide what an error means, and when to try again."""
        fault = classify(error)
        if fault is Fault.BUG:
            if self._puzzled or not isinstance(error, sqlite3.Error):
                raise error
            self._puzzled = True  # once it may be the file that contradicts itself
            fault = Fault.CORRUPT
        if fault is Fault.DISK:
            unreadable = getattr(error, "sqlite_errorcode", 0) in _UNREADABLE
            self._read_errors = self._read_errors + 1 if unreadable else 0
            self._abandon()
        if fault is Fault.CORRUPT or self._read_errors >= _DISTRUST:
            _log.error("the spool is corrupt and is set aside", path=str(self.path), why=str(error))
            self._abandon()
            self._distrusted, self._read_errors = True, 0
            self._retry_at = 0.0
            return
        if fault is Fault.FULL:
            self._doubt = None  # this connection knows that it has not happened
        self._hold(str(error))

    def _abandon(self) -> None:
        """Close a file that is to be opened anew."""
        if self._store is not None:
            with suppress(sqlite3.Error):
                self._store.sql.close()
            self._store = None

    def _hold(self, why: str, *, at_once: bool = False) -> None:
        self._full_why = why
        if self._full_since_ms is None:
            self._full_since_ms = self.host.now_ms()
            _log.error("the disk takes nothing; writes wait", path=str(self.path), why=why)
        self._pause_s = min(max(self._pause_s * 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self._retry_at = monotonic() + (0.0 if at_once else self._pause_s)

    def _well(self) -> None:
        """The last attempt went through, and nothing waits for another one."""
        if self._full_since_ms is None or self.desk.waiting:
            return
        _log.warning("the disk takes writes again", path=str(self.path))
        self._full_since_ms, self._full_why = None, ""
        self._pause_s = self._retry_at = 0.0
        self._read_errors = 0

    def _end(self) -> None:
        self.desk.end(SpoolError("The spool was closed before this could be kept.", why=self._full_why))
        if self._store is not None:
            try:
                self._store.close()
            except sqlite3.Error as error:  # nothing is lost: the next start checks the file
                _log.warning("the spool did not close cleanly", why=str(error))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _cannot_open(path: Path, error: Exception) -> SpoolError:
    """The error of a start without a file, with what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        what = f"The spool {path} is in use."
        do = "Stop the other gateway that uses it, or give this one a folder of its own."
    elif code == sqlite3.SQLITE_FULL:
        what, do = f"There is no room for the spool {path}.", "Free some space on its disk."
    else:
        what, do = (
            f"The spool {path} cannot be opened.",
            "Check that its folder can be written and its disk is sound.",
        )
    return SpoolError(what, why=str(error), do=do)
