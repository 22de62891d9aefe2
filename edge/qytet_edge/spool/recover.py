"""Reading what a damaged file still gives, and copying it into a new one.

Nothing is copied whose checksum does not fit. Copying twice changes nothing, so it may be cut off at any point.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from qytet_contract import records, topics
from qytet_contract.codes import ContractError
from qytet_edge.spool import queries, rows
from qytet_edge.spool.boots import Boot
from qytet_edge.spool.faults import UNREADABLE
from qytet_edge.spool.store import Store

__all__ = ["rescue"]

_Any = tuple[Any, ...]
_TOTALS = ("dropped", "let_go", "notices_dropped")
_AT_ONCE = 5000
_TOP = records.MAX_SEQ + 1


def rescue(pending: Path, store: Store, memory: Store | None, beat: Callable[[], None]) -> tuple[int, bool]:
    """Copy everything readable, in transactions of bounded size: how many records, and whether that was all.

    It is not all if the disk's reserve is reached. `memory`: what the store knew that used the file until now.
    `beat` is called before each piece: of a gigabyte on a small board they take half an hour.
    """
    with closing(sqlite3.connect(pending, isolation_level=None)) as old:
        with suppress(*UNREADABLE):
            old.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        boots = list(memory.by_id.values() if memory else _boots(old))
        twins = _twins(store, boots)
        with _Transaction(store):
            store.sql.executemany(queries.SAVE_META, _totals(old, memory))
            store.sql.executemany(queries.SAVE_BOOT, [twin.row() for twin in twins.values()])
            store.sql.executemany(queries.RESTORE_CHECKPOINT, _whole(old, queries.CHECKPOINTS))
            store.sql.executemany(queries.RESTORE_NOTICE, _whole(old, queries.ALL_NOTICES))
        count, whole = _copy(store, _everything(old, boots, memory), twins, beat)
    with _Transaction(store):
        for boot in boots:
            twin = twins[boot.id]
            twin.settled, highest = store.sql.execute(queries.RECOUNT, (twin.id,)).fetchone()
            # Until all is copied nobody may conclude that what is not here is lost.
            known = boot.next_seq if whole else 1
            twin.next_seq = max(known, twin.next_seq, (highest or 0) + 1)
            store.sql.execute(queries.SAVE_BOOT, twin.row())
    return count, whole


def _twins(store: Store, boots: Sequence[Boot]) -> Mapping[int, Boot]:
    """The boots under the new file's numbers, by their old ones; those of an earlier, interrupted rescue stay."""
    twins = {}
    for number, boot in enumerate(boots, store.next_boot_id):
        known = store.boots.get(boot.key)
        fresh = replace(boot, id=number, next_seq=boot.mark + 1, settled=0, intake={})
        twins[boot.id] = known.copy() if known else fresh
    return twins


def _totals(old: sqlite3.Connection, memory: Store | None) -> list[tuple[str, int]]:
    meta = memory.meta if memory else dict(_readable(old, queries.META))
    run_s = memory.run_s() if memory else _number(meta.get("run_s"))
    return [("run_s", run_s), *((name, _number(meta.get(name))) for name in _TOTALS)]


def _copy(
    store: Store, found: Iterator[_Any], twins: Mapping[int, Boot], beat: Callable[[], None]
) -> tuple[int, bool]:
    """Put rows (old boot's id, then as `rows.Row`) into the new `record`, unless they are bad or marked."""
    good = (
        (twins[row[0]].id, *row[1:])
        for row in found
        if row[0] in twins and rows.fits(row[1:], twins[row[0]].seed) and row[1] > twins[row[0]].mark
    )
    count = 0
    while chunk := list(islice(good, _AT_ONCE)):
        beat()
        if store.host.free_bytes(store.path.parent) < store.limits.spare_bytes:
            return count, False
        with _Transaction(store):
            count += store.sql.executemany(queries.RESTORE, chunk).rowcount
    return count, True


def _everything(old: sqlite3.Connection, boots: Sequence[Boot], memory: Store | None) -> Iterator[_Any]:
    for boot in boots:
        yield from ((boot.id, *row) for row in _records(old, boot))
    if memory is None:
        yield from _readable(old, queries.INTAKE)
        return
    for boot in boots:
        for kept_s, record in boot.intake.values():
            yield boot.id, *rows.pack(record, kept_s, boot.seed)


def _boots(old: sqlite3.Connection) -> Iterator[Boot]:
    """The boots that the file names, each once; one whose row is altered is read as if nothing of it was marked."""
    seen = set()
    for row in _readable(old, queries.BOOTS):
        number, device, name, own, *numbers, _sum = row
        if not (isinstance(number, int) and isinstance(device, str) and topics.is_slug(device)):
            continue
        with suppress(ContractError):
            records.check_boot(name)
            if (device, name) not in seen:
                seen.add((device, name))
                yield Boot(number, device, name, bool(own), *(numbers if rows.is_whole(row) else ()))


def _readable(old: sqlite3.Connection, query: str) -> Iterator[_Any]:
    """The rows of a small table up to the first that cannot be read."""
    with suppress(*UNREADABLE):
        yield from old.execute(query)


def _whole(old: sqlite3.Connection, query: str) -> Iterator[_Any]:
    return (row for row in _readable(old, query) if rows.is_whole(row))


def _records(old: sqlite3.Connection, boot: Boot) -> Iterator[_Any]:
    """The rows of one boot: upwards, over each damaged stretch by growing leaps, and from there back down."""
    after = boot.mark
    while after < _TOP:
        last = after
        try:
            for row in old.execute(queries.READ, (boot.id, after, -1)):
                last = _seq(row, last, _TOP)
                yield row
        except UNREADABLE:
            for row in _one_by_one(old, boot, last):
                last = row[0]
                yield row
            after = _leap(old, boot, last)
            yield from _descend(old, boot, last, after)
        else:
            return


def _one_by_one(old: sqlite3.Connection, boot: Boot, last: int) -> Iterator[_Any]:
    """The last rows before a damaged page: the module looks one row ahead, and with the error that row is gone."""
    with suppress(*UNREADABLE):
        while row := old.execute(queries.READ, (boot.id, last, 1)).fetchone():
            last = _seq(row, last, _TOP)
            yield row


def _leap(old: sqlite3.Connection, boot: Boot, last: int) -> int:
    """A number above `last` from which reading works again, or the end of all numbers."""
    step = 1
    while last + step < _TOP:
        try:
            old.execute(queries.READ, (boot.id, last + step, 1)).fetchone()
        except UNREADABLE:
            step *= 2
        else:
            return last + step
    return _TOP


def _descend(old: sqlite3.Connection, boot: Boot, last: int, top: int) -> Iterator[_Any]:
    """The rows from `top` down to the damaged page, one by one for the same reason."""
    with suppress(*UNREADABLE):
        while row := old.execute(queries.DESCEND, (boot.id, last, top)).fetchone():
            top = _seq(row, last, top + 1) - 1
            yield row


def _seq(row: _Any, above: int, below: int) -> int:
    """The number of a row that is where it should be; a damaged page may give any, and would lead us in circles."""
    seq = row[0]
    if isinstance(seq, int) and above < seq < below:
        return seq
    raise sqlite3.DatabaseError("a row is out of order")


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


class _Transaction:
    """BEGIN and COMMIT around a block; nothing of it stays if it fails."""

    def __init__(self, store: Store) -> None:
        self._sql = store.sql

    def __enter__(self) -> None:
        self._sql.execute(queries.BEGIN)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._sql.execute(queries.COMMIT)
        elif self._sql.in_transaction:
            self._sql.execute(queries.ROLLBACK)
