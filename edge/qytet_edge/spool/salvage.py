"""A file that cannot be trusted: set it aside, begin another, and have copied what the old one still gives.

The old file is first renamed to `*.salvage`; only when everything readable is copied does it become
`*.corrupt-<time>`. A crash in between begins the copying again, which changes nothing that is there already.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from qytet.log import get
from qytet_edge.spool.faults import UNREADABLE, Fault, classify
from qytet_edge.spool.host import Host
from qytet_edge.spool.model import Limits
from qytet_edge.spool.recover import rescue
from qytet_edge.spool.rows import damaged
from qytet_edge.spool.store import Store

__all__ = ["aside", "open_store", "set_aside"]

_log = get("spool")


def _nothing() -> None:
    pass


def open_store(
    path: Path, limits: Limits, host: Host, memory: Store | None = None, beat: Callable[[], None] = _nothing
) -> tuple[Store, int]:
    """The spool's file, mended as far as it can be, and how many records were copied from a corrupt one.

    `memory`: what the store knew that used this file until now, so that this need not be read from a corrupt one,
    and that a file which has forgotten what was durable is found out.
    `beat` is called again and again while there is progress.
    Raises sqlite3.Error or OSError if there can be no file now.
    """
    pending = _beside(path, "salvage")
    if pending.exists() and not path.exists():
        _move_log(path, pending)  # a crash came between the two renamings
    try:
        store = Store(path, limits, host, check=memory is None)
        if memory is not None and not memory.aside and store.lags(memory):
            store.sql.close()
            raise damaged("it has forgotten what was durable")
    except UNREADABLE as error:
        if classify(error) is not Fault.CORRUPT:
            raise
        _log.error("the spool is corrupt and set aside", path=str(path), why=str(error))
        set_aside(path, memory)
        store = Store(path, limits, host)
    if not pending.exists():
        return store, 0
    try:
        store.apply([])  # its new boot is written down
        count, whole = rescue(pending, store, memory if memory and memory.aside else None, beat)
    finally:
        store.close(clean=False)
    if whole:
        kept_as = _retire(path, pending, limits.aside)
        _log.warning("copied what a corrupt spool still had", records=count, set_aside=kept_as)
    else:
        _log.error("no room to copy all of a corrupt spool; the next start goes on", records=count)
    return Store(path, limits, host, check=False), count


def aside(path: Path) -> list[Path]:
    """The corrupt files kept beside this spool, oldest first; the last one may not be copied yet."""
    pending = _beside(path, "salvage")
    return sorted(path.parent.glob(f"{path.stem}.corrupt-*Z")) + [pending] * pending.exists()


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}.{name}")


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def set_aside(path: Path, memory: Store | None = None) -> None:
    """Take a corrupt file out of the way, with its log; `open_store` copies what it has, and `memory` knows of it.

    The file first: a log without its file is worth nothing, a file without its log would pass for an older state.
    """
    pending = _beside(path, "salvage")
    if not path.exists():
        return
    if pending.exists():
        _retire(path, pending, keep=1 << 30)
    path.replace(pending)
    if memory is not None:
        memory.aside = True
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
