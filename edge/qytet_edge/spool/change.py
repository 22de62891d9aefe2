"""One transaction in the making: numbers are given, marks taken, and memory changes only once it is committed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from qytet.log import get
from qytet_contract.records import MAX_SEQ
from qytet_contract.topics import OBS
from qytet_edge.records import Checkpoint, Notice, Record, Relayed
from qytet_edge.spool import queries, rows
from qytet_edge.spool.accept import Dated, obs_payload
from qytet_edge.spool.boots import Boot, Key

if TYPE_CHECKING:
    from qytet_edge.spool.store import Store

__all__ = ["Change"]

_log = get("spool")
SWEEP = 20_000
"""Rows deleted at once: a mark after days of outage must not hold up the puts for seconds."""

_LONG = 4096
"""Bytes of a notice beyond which all that are so long are bounded together."""


def _says_the_same(one: Record, other: Record) -> bool:
    """Whether a node only used other words: other spacing, or a time that it knows by now."""
    times = {one.t_ms, other.t_ms} - {None}
    if one.up_ms != other.up_ms or len(times) > 1:
        return False
    try:
        return bool(msgspec.json.decode(one.m) == msgspec.json.decode(other.m))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


class Change:
    """Lives between BEGIN and COMMIT of `Store.apply`. Its methods are the stages that users put together."""

    def __init__(self, store: "Store") -> None:
        self.boots: dict[Key, Boot] = {}
        self.results: list[Any] = []
        self._store = store
        self._sql = store.sql
        self._now_s = store.run_s()
        self._rows: list[tuple[Any, ...]] = []
        self._kept: list[tuple[Boot, Record]] = []
        self._new: dict[tuple[int, int], Record] = {}
        self._meta: dict[str, Any] = {}
        self._next_boot_id = store.next_boot_id
        self._next_notice = store.next_notice
        self._notice_count = store.notice_count
        self._duplicates = self._conflicts = 0
        self._settled = False
        self._forgotten: list[Boot] = []

    def put(self, dated: Sequence[Dated], checkpoint: Checkpoint | None) -> list[Record]:
        """Number our own readings and keep them, and how far their source has come."""
        records = [self._number(reading) for reading in dated]
        if checkpoint is not None:
            self._sql.execute(queries.SAVE_CHECKPOINT, (*checkpoint, rows.checksum(*checkpoint)))
        return records

    def _number(self, reading: Dated) -> Record:
        boot = self._boot((reading.device, self._own_boot), own=True)
        if boot.next_seq > MAX_SEQ:  # all numbers are used: every device begins another boot
            self.note("boot", self._store.host.new_boot())
            boot = self._boot((reading.device, self._own_boot), own=True)
        record = Record(
            reading.device, boot.boot, boot.next_seq, reading.t_ms, reading.up_ms, reading.tq, reading.m
        )
        self._keep(boot, record)
        return record

    def relay(self, relayed: Sequence[Relayed]) -> tuple[list[Record], int]:
        """Keep a node's records; returns those that came live, and how many contradict what is kept."""
        live: list[Record] = []
        conflicts = self._conflicts
        for said in relayed:
            boot = self._boot((said.device, said.boot), own=False)
            record = Record(said.device, said.boot, said.seq, said.t_ms, said.up_ms, said.tq, said.m)
            if said.lo is not None:
                boot.lo = max(boot.lo, said.lo)
            if self._is_new(boot, record, said):
                self._keep(boot, record)
                if said.lo is None:
                    live.append(record)
        return live, self._conflicts - conflicts

    def _is_new(self, boot: Boot, record: Record, said: Relayed) -> bool:
        if record.seq <= boot.mark:
            self._duplicates += 1
            return False
        known = self._new.get((boot.id, record.seq)) or self._store.find(boot, record.seq)
        if known is None:
            return True
        if known == record or _says_the_same(known, record):
            self._duplicates += 1
        else:
            self._conflicts += 1
            self.notify(Notice(said.device, OBS, obs_payload(said)))
        return False

    def _keep(self, boot: Boot, record: Record) -> None:
        boot.next_seq = max(boot.next_seq, record.seq + 1)
        row = (boot.id, *rows.pack(record, self._now_s, boot.seed))
        self._rows.append(row)
        self._kept.append((boot, record))
        self._new[boot.id, record.seq] = record

    def holds(self, device: str, boot: str, lo: int) -> None:
        """Remember what a node says it still holds."""
        found = self._boot((device, boot), own=False)
        found.lo = max(found.lo, lo)

    @property
    def _own_boot(self) -> str:
        return str(self._meta.get("boot", self._store.boot))

    def mark(self, device: str, name: str, seq: int) -> None:
        """Let go of everything of this boot up to `seq`.

        A mark above all numbers that our present boot has given: an older file was put in place of this one, and
        what the city has under these numbers is something else. What was made since is numbered anew.
        """
        if (device, name) not in self._store.boots and (device, name) not in self.boots:
            return
        boot = self._boot((device, name), own=False)
        if seq <= boot.mark:
            return
        if seq >= boot.next_seq and boot.own and name == self._own_boot:
            self._renumber(boot)
        boot.mark = seq
        boot.next_seq = max(boot.next_seq, seq + 1)
        if boot.low and boot.low <= seq:
            self.sweep(boot.key)

    def _renumber(self, boot: Boot) -> None:
        """Give the newest records of a boot other numbers, under another boot.

        Those of them that the city has after all become dead letters there: of one datastream and instant it keeps
        the first.
        """
        first = max(boot.mark, boot.next_seq - 1 - SWEEP)
        held = self._store.read(*boot.key, first, SWEEP, 1 << 30)
        held += [record for owner, record in self._kept if owner is boot]
        self.note("boot", self._store.host.new_boot())
        _log.error("the city knows numbers that were not given; records are numbered anew", records=len(held))
        for record in held:
            self._number(Dated(record.device, record.t_ms, record.up_ms, record.tq, record.m))

    def sweep(self, key: Key) -> None:
        """Delete rows that are marked, at most SWEEP of them; `boot.dead` says whether more are left."""
        boot = self._boot(key, own=False)
        self._delete(boot, SWEEP, boot.mark)

    def _delete(self, boot: Boot, limit: int, highest: int) -> int:
        count = self._sql.execute(queries.DELETE_LOWEST, (boot.id, limit, highest)).rowcount
        boot.settled -= count
        self._store.look(boot)
        return count

    def notify(self, notice: Notice) -> None:
        """Keep a message that is no record; a retained one replaces the one before it."""
        if notice.retain:
            gone = self._sql.execute(queries.REPLACE_RETAINED, (notice.device, notice.kind)).rowcount
            self._notice_count -= gone
        row = (self._next_notice, notice.device, notice.kind, notice.payload, int(notice.retain))
        self._sql.execute(queries.SAVE_NOTICE, (*row, rows.checksum(*row)))
        self._next_notice += 1
        self._notice_count += 1
        limits = self._store.limits
        if self._notice_count > limits.notices:
            self._drop_notices(queries.DROP_NOTICES, self._notice_count - limits.notices)
        if len(notice.payload) > _LONG:
            self._drop_notices(queries.DROP_LONG, _LONG, min(limits.notice_bytes, limits.bytes // 8))

    def _drop_notices(self, query: str, *numbers: int) -> None:
        gone = self._sql.execute(query, numbers).rowcount
        self._notice_count -= gone
        self._count("notices_dropped", gone)

    def noticed(self, ids: Sequence[int]) -> None:
        """Let go of messages that the city's broker has."""
        gone = self._sql.executemany(queries.NOTICED, [(number,) for number in ids]).rowcount
        self._notice_count -= gone

    def settle(self) -> None:
        """Move what the city has not yet marked from the intake to its place in `record`; a transaction of its own."""
        assert not self._rows, "what is kept in this transaction would be lost"
        self._sql.execute(queries.SETTLE)
        self._sql.execute(queries.CLEAR_INTAKE)
        self._settled = True
        self.note("run_s", self._now_s)
        for key, known in self._store.boots.items():
            if known.intake:
                boot = self._boot(key, own=known.own)
                boot.settled += len(boot.intake)
                self._store.look(boot)

    def drop(self, key: Key, limit: int, before_s: int | None = None) -> Boot:
        """Drop the lowest `limit` settled records of a boot, or those of them kept before a running second."""
        boot, highest = self._boot(key, own=False), MAX_SEQ
        if before_s is not None:
            highest = self._sql.execute(queries.EXPIRED, (boot.id, limit, before_s)).fetchone()[0] or 0
        count = self._delete(boot, limit, highest)
        boot.dropped += count
        self._count("dropped" if boot.own else "let_go", count)
        return boot

    def forget(self, key: Key) -> None:
        """Forget a numbering of which nothing is held."""
        boot = self._store.boots[key]
        self._sql.execute(queries.FORGET_BOOT, (boot.id,))
        self._forgotten.append(boot)

    def _count(self, name: str, more: int) -> None:
        """Add to one of the totals that outlive the process."""
        if more:
            self.note(name, self._meta.get(name, self._store.meta.get(name, 0)) + more)

    def note(self, name: str, value: Any) -> None:
        """Remember something under a name."""
        self._meta[name] = value

    def before(self, boot: Boot) -> int:
        """The number that this boot would have given before this transaction."""
        known = self._store.boots.get(boot.key)
        return 0 if known is None else known.next_seq

    def _boot(self, key: Key, *, own: bool) -> Boot:
        """The boot as this transaction sees it; a new one if there is none."""
        found = self.boots.get(key)
        if found is None:
            known = self._store.boots.get(key)
            if known is None:
                found = Boot(self._next_boot_id, key[0], key[1], own)
                self._next_boot_id += 1
            else:
                found = known.copy()
            self.boots[key] = found
        return found

    def write(self) -> None:
        """The last step before COMMIT: rows, boots and the totals."""
        self._sql.executemany(queries.KEEP, self._rows)
        changed = [boot for boot in self.boots.values() if self._must_save(boot)]
        self._sql.executemany(queries.SAVE_BOOT, [boot.row() for boot in changed])
        self._meta = self._store.unsaved | self._meta  # what this transaction says counts
        self._sql.executemany(queries.SAVE_META, self._meta.items())

    def _must_save(self, boot: Boot) -> bool:
        """Given numbers follow from the records in the intake: a put alone need not write the boot's page."""
        known = self._store.boots.get(boot.key)
        return known is None or known.told() != boot.told()

    def adopt(self) -> None:
        """It is committed: memory follows."""
        store = self._store
        for key, boot in self.boots.items():
            old = store.boots.get(key)
            store.records -= old.count if old else 0
            if self._settled:
                boot.intake = {}
            store.boots[key] = store.by_id[boot.id] = boot
        for boot, record in self._kept:
            boot.intake[record.seq] = (self._now_s, record)
        for boot in self.boots.values():
            for seq in [seq for seq in boot.intake if seq <= boot.mark]:
                del boot.intake[seq]
            store.records += boot.count
            store.dead.discard(boot.key)
            if boot.dead:
                store.dead.add(boot.key)
        for boot in self._forgotten:
            del store.boots[boot.key], store.by_id[boot.id]
        if self._settled:
            store.intake_rows = store.intake_bytes = 0
        store.intake_rows += len(self._rows)
        store.intake_bytes += sum(len(row[6]) for row in self._rows)
        store.meta |= self._meta
        store.unsaved = {}
        store.next_boot_id, store.next_notice = self._next_boot_id, self._next_notice
        store.notice_count = self._notice_count
        store.duplicates += self._duplicates
        store.conflicts += self._conflicts
