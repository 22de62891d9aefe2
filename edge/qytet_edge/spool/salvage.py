"""A file that cannot be trusted: set it aside, begin another, and copy over what the old one still gives.

The old file is first renamed to `*.salvage`; only when everything readable is copied does it become
`*.corrupt-<time>`. A crash in between begins the copying again, which changes nothing that is there already.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from qytet.log import get
from qytet_contract import records, topics
from qytet_contract.codes import TIME_QUALITIES, ContractError
from qytet_edge.spool import queries
from qytet_edge.spool.boots import Boot
from qytet_edge.spool.faults import Fault, classify
from qytet_edge.spool.host import Host
from qytet_edge.spool.model import Limits
from qytet_edge.spool.store import QUALITIES, Store

__all__ = ["aside", "open_store", "set_aside"]

_Row = tuple[Any, ...]
_TOTALS = ("dropped", "let_go", "notices_dropped")
_AT_ONCE = 5000
_log = get("spool")


def open_store(path: Path, limits: Limits, host: Host, memory: Store | None = None) -> tuple[Store, int]:
    """The spool's file, mended as far as it can be, and how many records were copied from a corrupt one.

    `memory`: what the store knew that used this file until now, so that this need not be read from a corrupt one.
    Raises sqlite3.Error or OSError if there can be no file now.
    """
    pending = _beside(path, "salvage")
    if pending.exists() and not path.exists():
        _move_log(path, pending)  # a crash came between the two renamings
    try:
        store = Store(path, limits, host, check=memory is None)
    except sqlite3.Error as error:
        if classify(error) is not Fault.CORRUPT:
            raise
        _log.error("the spool is corrupt and set aside", path=str(path), why=str(error))
        set_aside(path)
        store = Store(path, limits, host)
    if not pending.exists():
        return store, 0
    try:
        store.apply([])  # its new boot is written down
        count = _rescue(pending, store, memory)
    finally:
        store.close(clean=False)
    kept_as = _retire(path, pending, limits.aside)
    _log.warning("copied what a corrupt spool still had", records=count, set_aside=kept_as)
    return Store(path, limits, host, check=False), count


def aside(path: Path) -> list[Path]:
    """The corrupt files kept beside this spool, oldest first."""
    return sorted(path.parent.glob(f"{path.stem}.corrupt-*Z"))


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}.{name}")


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def set_aside(path: Path) -> None:
    """Take a corrupt file out of the way, with its log; `open_store` copies what it has.

    The file first: a log without its file is worth nothing, a file without its log would pass for an older state.
    """
    pending = _beside(path, "salvage")
    if not path.exists():
        return
    if pending.exists():
        _retire(path, pending, keep=1 << 30)
    path.replace(pending)
    _move_log(path, pending)
    _sync_folder(path.parent)


def _move_log(path: Path, pending: Path) -> None:
    with suppress(FileNotFoundError):
        _wal(path).replace(_wal(pending))


def _retire(path: Path, pending: Path, keep: int) -> str:
    """Give a copied file its last name, and delete all but the newest ones."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    final = _beside(path, f"corrupt-{stamp}")
    pending.replace(final)
    _move_log(pending, final)
    for old in aside(path)[: -keep or None]:
        old.unlink()
        _wal(old).unlink(missing_ok=True)
    return final.name


def _sync_folder(folder: Path) -> None:
    """A renaming is durable once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _rescue(pending: Path, store: Store, memory: Store | None) -> int:
    """Copy everything readable into a new file, in transactions of bounded size; how many records."""
    with closing(sqlite3.connect(pending, isolation_level=None)) as old:
        with suppress(sqlite3.Error):
            old.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        meta = memory.meta if memory else dict(_readable(old, queries.META, 2))
        boots = list(memory.by_id.values() if memory else _boots(old))
        run_s = memory.run_s() if memory else _number(meta.get("run_s"))
        totals = [("run_s", run_s), *((name, _number(meta.get(name))) for name in _TOTALS)]
        first = store.next_boot_id
        renumbered = {boot.id: first + at for at, boot in enumerate(boots)}
        with _transaction(store):
            store.sql.executemany(queries.SAVE_META, totals)
            store.sql.executemany(
                queries.RESTORE_BOOT, [_boot_row(renumbered[boot.id], boot) for boot in boots]
            )
            store.sql.executemany(queries.RESTORE_CHECKPOINT, _readable(old, queries.CHECKPOINTS, 2))
            store.sql.executemany(queries.RESTORE_NOTICE, _readable(old, queries.ALL_NOTICES, 5))
        # An earlier, interrupted rescue may have given other numbers.
        numbers = {row[1:3]: row[0] for row in store.sql.execute(queries.BOOTS)}
        count = 0
        for boot in boots:
            count += _restore(store, numbers[boot.key], _records(old, boot))
        marks = {boot.id: (numbers[boot.key], boot.mark) for boot in boots}
        count += _restore_intake(store, marks, _intake(old, memory))
    with _transaction(store):
        store.sql.execute(queries.RECOUNT)
    return count


class _transaction:  # noqa: N801  # reads as the function that it is
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


def _restore(store: Store, boot_id: int, rows: Iterator[_Row]) -> int:
    """Put rows (seq, t, up, tq, kept_s, m) of one boot into the new file."""
    return _restore_rows(store, ((boot_id, *row) for row in rows))


def _restore_intake(store: Store, marks: dict[int, tuple[int, int]], rows: Iterable[_Row]) -> int:
    """Put rows of the old intake that are not marked into the new file's `record`."""
    known = (row for row in rows if row[0] in marks and _is_good(row[1:]))
    return _restore_rows(store, ((marks[row[0]][0], *row[1:]) for row in known if row[1] > marks[row[0]][1]))


def _restore_rows(store: Store, rows: Iterator[_Row]) -> int:
    count = 0
    while chunk := list(islice(rows, _AT_ONCE)):
        with _transaction(store):
            count += store.sql.executemany(queries.RESTORE, chunk).rowcount
    return count


def _boot_row(number: int, boot: Boot) -> _Row:
    return (number, *boot.row()[1:8])


def _boots(old: sqlite3.Connection) -> Iterator[Boot]:
    for number, device, name, own, *numbers in _readable(old, queries.BOOTS, 9):
        whole = isinstance(number, int) and all(isinstance(value, int) and value >= 0 for value in numbers)
        with suppress(ContractError):
            records.check_boot(name)
            if whole and isinstance(device, str) and topics.is_slug(device):
                next_seq, mark, lo, dropped, settled = numbers
                yield Boot(number, device, name, bool(own), next_seq, mark, max(lo, 1), dropped, settled)


def _intake(old: sqlite3.Connection, memory: Store | None) -> Iterator[_Row]:
    if memory is None:
        yield from _readable(old, queries.INTAKE, 7)
        return
    for boot in memory.by_id.values():
        for kept_s, record in boot.intake.values():
            tq = TIME_QUALITIES[record.tq]
            yield boot.id, record.seq, record.t_ms, record.up_ms, tq, kept_s, record.m


def _readable(old: sqlite3.Connection, query: str, width: int) -> Iterator[_Row]:
    """The rows of a small table up to the first that cannot be read."""
    with suppress(sqlite3.DatabaseError):
        for row in old.execute(query):
            if len(row) == width and None not in row[:2]:
                yield row


def _records(old: sqlite3.Connection, boot: Boot) -> Iterator[_Row]:
    """The good rows of one boot: upwards, over each damaged stretch by growing leaps, and from there back down."""
    after = boot.mark
    while after < boot.next_seq:
        last = after
        try:
            for row in old.execute(queries.READ, (boot.id, after, -1)):
                last = row[0]
                yield from _good(row)
        except sqlite3.DatabaseError:
            after = _leap(old, boot, last)
            yield from _descend(old, boot, last, after)
        else:
            return


def _leap(old: sqlite3.Connection, boot: Boot, last: int) -> int:
    """A number above `last` from which reading works again, or the end of the boot's numbers."""
    step = 1
    while last + step < boot.next_seq:
        try:
            old.execute(queries.READ, (boot.id, last + step, 1)).fetchone()
        except sqlite3.DatabaseError:
            step *= 2
        else:
            return last + step
    return boot.next_seq


def _descend(old: sqlite3.Connection, boot: Boot, last: int, top: int) -> Iterator[_Row]:
    with suppress(sqlite3.DatabaseError):
        for row in old.execute(queries.DESCEND, (boot.id, last, top)):
            yield from _good(row)


def _good(row: _Row) -> Iterator[_Row]:
    if _is_good(row):
        yield row


def _is_good(row: _Row) -> bool:
    """Whether seq, t, up, tq, kept_s and m can be a record; a damaged page may give anything."""
    seq, t, up, tq, kept_s, m = row
    if not (isinstance(kept_s, int) and isinstance(m, bytes) and tq in QUALITIES):
        return False
    try:
        records.check_record(seq, t, up, QUALITIES[tq], msgspec.json.decode(m))
    except (ContractError, msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
