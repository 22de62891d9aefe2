"""The spool's file and what memory knows of it: opening, transactions, reading. One thread uses it."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from heapq import merge
from itertools import islice
from operator import attrgetter
from pathlib import Path
from time import monotonic
from typing import Any

from qytet_edge.records import Notice, Record
from qytet_edge.spool import queries
from qytet_edge.spool.boots import Boot, Key
from qytet_edge.spool.change import Change
from qytet_edge.spool.host import Host
from qytet_edge.spool.model import Held, Limits
from qytet_edge.spool.rows import damaged, is_whole, unpack

__all__ = ["Store"]

_ROW_BYTES = 40
"""What a row of a `hist` needs besides its values: numbers, time, quality, punctuation, at most about so much."""
_NUMBERS = ("run_s", "clean", "dropped", "let_go", "notices_dropped")
_BY_SEQ = attrgetter("seq")
_STEPS = 100_000
"""SQLite's virtual machine looks at the clock after so many steps."""


class Store:
    """Opened by its constructor, which raises sqlite3.Error (see `faults`) and leaves nothing open then.

    Memory changes only after a commit: whatever fails leaves both as they were.
    """

    def __init__(self, path: Path, limits: Limits, host: Host, *, check: bool = True) -> None:
        self.path = path
        self.limits = limits
        self.host = host
        self.attempt: Change | None = None
        self.boots: dict[Key, Boot] = {}
        self.by_id: dict[int, Boot] = {}
        self.meta: dict[str, Any] = {}
        self.unsaved: dict[str, Any] = {}
        """Entries of `meta` that the next transaction writes."""
        self.records = self.notice_count = self.used_bytes = self.free_bytes = self.commits = 0
        self.next_boot_id = self.next_notice = 1
        self.intake_rows = self.intake_bytes = 0
        self.duplicates = self.conflicts = 0
        self.oldest_s: int | None = None
        self.looked_s = -1
        self.shrinking = False
        self.aside = False
        """Whether the file was set aside: what memory knows belongs to the copy that is to be rescued."""
        self.dead: set[Key] = set()
        """Boots with marked rows that wait for their deletion."""
        self.sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
        try:
            self._prepare()
            if check and not self.meta.get("clean", 1):
                self._check()
            self._load()
        except BaseException:
            self.sql.close()
            raise
        self._opened_ms = host.up_ms() - self._run_s_at_open() * 1000
        self._begin_life()

    def _prepare(self) -> None:
        for pragma in queries.PRAGMAS:
            self.sql.execute(pragma).fetchall()
        if not self._one(queries.TABLES):
            self.sql.executescript(queries.SCHEMA)
        made_by = self.sql.execute(queries.MADE_BY).fetchone()
        if made_by != (queries.APPLICATION, queries.VERSION):
            raise damaged(f"it is no spool of this version: {made_by}")
        self.meta = dict(self.sql.execute(queries.META).fetchall())
        if not all(isinstance(self.meta.get(name, 0), int) for name in _NUMBERS):
            raise damaged("a total is no number")

    def _check(self) -> None:
        """After an unclean end: is the file's structure whole? Gives up looking after `check_s`."""
        until = monotonic() + self.limits.check_s
        self.sql.set_progress_handler(lambda: int(monotonic() > until), _STEPS)
        try:
            verdict = self._one(queries.QUICK_CHECK)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return
        finally:
            self.sql.set_progress_handler(None, 0)
        if verdict != "ok":
            raise damaged(str(verdict))

    def _load(self) -> None:
        for row in self.sql.execute(queries.BOOTS):
            if not is_whole(row):
                raise damaged(f"what is known of boot {row[0]} has changed since it was written")
            number, device, name, own, *numbers, _sum = row
            boot = Boot(number, device, name, bool(own), *numbers)
            self.boots[boot.key] = self.by_id[number] = boot
        for boot in self.boots.values():
            if boot.settled:
                self.look(boot)
        self.dead = {boot.key for boot in self.boots.values() if boot.dead}
        for boot_id, *row in self.sql.execute(queries.INTAKE):
            self.intake_rows += 1
            found = self.by_id.get(boot_id)
            if found is None:
                raise damaged(f"a record of an unknown numbering {boot_id}")
            record = unpack(found.device, found.boot, tuple(row), found.seed)
            self.intake_bytes += len(record.m)
            found.next_seq = max(found.next_seq, record.seq + 1)
            if record.seq > found.mark:
                found.intake[record.seq] = (row[4], record)
        self.next_boot_id = max(self.by_id, default=0) + 1
        self.notice_count, newest = self.sql.execute(queries.COUNT_NOTICES).fetchone()
        self.next_notice = (newest or 0) + 1
        self.records = sum(boot.count for boot in self.boots.values())
        self.measure()

    def look(self, boot: Boot) -> None:
        """Find the lowest and the highest record that `record` has of this boot, as the transaction sees it."""
        lowest, boot.high = self.sql.execute(queries.SPAN, (boot.id,)).fetchone()
        boot.dead = lowest is not None and lowest <= boot.mark
        found = self.sql.execute(queries.LOWEST, (boot.id, boot.mark)).fetchone()
        boot.low, boot.head_s = found or (0, 0)
        boot.high = boot.high or 0

    def _run_s_at_open(self) -> int:
        """The running second at which the file was last used."""
        kept = [kept_s for boot in self.boots.values() for kept_s, _record in boot.intake.values()]
        return max([int(self.meta.get("run_s", 0)), *kept])

    def inherit(self, old: "Store") -> None:
        """Go on counting where another store of this process ended; no id of a notice is given twice."""
        self.duplicates, self.conflicts, self.commits = old.duplicates, old.conflicts, old.commits
        self.next_notice = max(self.next_notice, old.next_notice)

    def lags(self, memory: "Store") -> bool:
        """Whether this file has forgotten numbers that it had given: the disk lied, or another file was put here."""
        known = ((boot, self.boots.get(key)) for key, boot in memory.boots.items() if boot.own)
        return any(here is None or here.next_seq < boot.next_seq for boot, here in known)

    def _begin_life(self) -> None:
        """Go on with the numbering if this is still the same boot of Linux; otherwise begin another one."""
        linux_boot = self.host.linux_boot()
        if not linux_boot or self.meta.get("linux_boot") != linux_boot or not self.meta.get("boot"):
            self.unsaved |= {"linux_boot": linux_boot, "boot": self.host.new_boot()}
        self.unsaved["clean"] = 0
        self.meta |= self.unsaved

    @property
    def boot(self) -> str:
        """The boot under which own records are numbered now."""
        return str(self.meta["boot"])

    def run_s(self) -> int:
        """Seconds that the gateway has run with this file, so that ages need no clock."""
        return (self.host.up_ms() - self._opened_ms) // 1000

    def apply(self, stages: Sequence[Callable[[Change], Any]]) -> list[Any]:
        """Run all stages in one transaction and return what they return; all or nothing.

        If only the COMMIT fails, `attempt` stays: whether it has happened is known when the file is opened anew.
        """
        change = Change(self)
        self.sql.execute(queries.BEGIN)
        try:
            change.results = [stage(change) for stage in stages]
            change.write()
            self.attempt = change
            self.sql.execute(queries.COMMIT)
        except BaseException:
            self._roll_back()
            raise
        self.attempt = None
        change.adopt()
        self.commits += 1
        self.measure()
        return change.results

    def _roll_back(self) -> None:
        if self.sql.in_transaction:
            # SQLite may have rolled back by itself; what counts is the first error.
            with suppress(sqlite3.Error):
                self.sql.execute(queries.ROLLBACK)

    def has(self, change: Change) -> bool:
        """Whether a transaction of another connection, whose COMMIT failed, is in this file after all.

        Only own numbers matter: everything else may be done twice without a difference.
        """
        return any(
            boot.own
            and boot.key in self.boots
            and self.boots[boot.key].next_seq >= boot.next_seq > change.before(boot)
            for boot in change.boots.values()
        )

    def measure(self) -> None:
        """Bytes used, and bytes of the file that are free to be used again."""
        self.free_bytes = self._one(queries.FREE_PAGES) * 4096
        self.used_bytes = self._one(queries.PAGES) * 4096 - self.free_bytes

    def recycle_log(self) -> None:
        """Copy the log into the database as far as that works, so that its blocks can be written again."""
        with suppress(sqlite3.Error):
            self.sql.execute(queries.COPY_LOG).fetchall()

    def read(self, device: str, boot: str, after_seq: int, limit: int, max_bytes: int) -> list[Record]:
        """See `Spool.read`."""
        found = self.boots.get((device, boot))
        if found is None:
            return []
        after = max(after_seq, found.mark)
        taken: list[Record] = []
        size = 0
        for record in self._ascending(found, after, limit):
            size += len(record.m) + _ROW_BYTES
            if taken and size > max_bytes:
                break
            taken.append(record)
        return taken

    def _ascending(self, boot: Boot, after: int, limit: int) -> Iterator[Record]:
        """At most `limit` records above `after` from both levels, merged by number."""
        young = [boot.intake[seq][1] for seq in sorted(seq for seq in boot.intake if seq > after)[:limit]]
        if boot.high <= after:
            return iter(young)
        settled = self._settled(boot, after, limit)
        return islice(merge(young, settled, key=_BY_SEQ), limit) if young else settled

    def _settled(self, boot: Boot, last: int, limit: int) -> Iterator[Record]:
        for row in self.sql.execute(queries.READ, (boot.id, last, limit)):
            record = unpack(boot.device, boot.boot, row, boot.seed)
            # SQLite's own check does not look at the order of these rows.
            if not last < record.seq <= boot.high:
                raise damaged(f"record {row[0]} of {boot.device} {boot.boot} is out of place")
            last = record.seq
            yield record

    def find(self, boot: Boot, seq: int) -> Record | None:
        """One record above the mark, if it is kept."""
        kept = boot.intake.get(seq)
        if kept is not None:
            return kept[1]
        if not boot.low <= seq <= boot.high:
            return None
        row = self.sql.execute(queries.ONE, (boot.id, seq)).fetchone()
        return None if row is None else unpack(boot.device, boot.boot, row, boot.seed)

    def held(self) -> list[Held]:
        """See `Spool.held`."""
        return [held for held in map(Boot.held, self.boots.values()) if held is not None]

    def known(self, device: str, boot: str) -> int | None:
        """See `Spool.known`."""
        found = self.boots.get((device, boot))
        return None if found is None else found.mark

    def checkpoint(self, source: str) -> bytes | None:
        """See `Spool.checkpoint`."""
        row = self.sql.execute(queries.CHECKPOINT, (source,)).fetchone()
        if row is None:
            return None
        if not is_whole(row):
            raise damaged(f"the checkpoint of {source} has changed since it was written")
        return bytes(row[1])

    def notices(self, limit: int, after: int) -> list[tuple[int, Notice]]:
        """See `Spool.notices`."""
        found: list[tuple[int, Notice]] = []
        for row in self.sql.execute(queries.NOTICES, (after, limit)):
            if not is_whole(row):
                raise damaged(f"notice {row[0]} has changed since it was written")
            number, device, kind, payload, retain, _sum = row
            found.append((number, Notice(device, kind, payload, bool(retain))))
        return found

    def close(self, *, clean: bool = True) -> None:
        """Close the file; `clean` says so in it, so that the next start need not check it."""
        try:
            if clean and self.meta.get("clean") == 0 and "clean" not in self.unsaved:
                self.unsaved |= {"clean": 1, "run_s": self.run_s()}
                self.apply([])
                self.sql.execute(queries.TRUNCATE_LOG).fetchall()
        finally:
            self.sql.close()

    def _one(self, query: str) -> Any:
        row = self.sql.execute(query).fetchone()
        return None if row is None else row[0]
