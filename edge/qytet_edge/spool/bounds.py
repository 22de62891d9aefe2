"""Keeping the spool within its bounds: sorting the intake, deleting what is marked, dropping the oldest."""

import heapq
from functools import partial

from qytet_edge.spool.change import Change
from qytet_edge.spool.store import Store

__all__ = ["crowded", "tend"]

_CHUNK = 64
"""Records dropped of one boot before the next one is looked at: so finely is "the oldest" meant."""
_CHUNKS = 16
"""Chunks in one transaction."""


def tend(store: Store) -> bool:
    """Do one piece of what is due; whether there may be more to do. Raises sqlite3.Error."""
    return _settle(store) or _sweep(store) or _expire(store) or _shrink(store) or _forget(store)


def crowded(store: Store) -> bool:
    """Whether the intake is so far beyond its size that nothing may come in before it is sorted."""
    return (
        store.intake_rows >= 2 * store.limits.roll_rows or store.intake_bytes >= 2 * store.limits.roll_bytes
    )


def _settle(store: Store) -> bool:
    if store.intake_rows >= store.limits.roll_rows or store.intake_bytes >= store.limits.roll_bytes:
        store.apply([Change.settle])
    return False


def _sweep(store: Store) -> bool:
    if not store.dead:
        return False
    dead = next(iter(store.dead))
    store.apply([lambda change: change.sweep(dead)])
    return True


def _expire(store: Store) -> bool:
    """Drop what is older than the limit of age; looked at once a second."""
    if store.run_s() == store.looked_s:
        return False
    store.oldest_s = min(
        (s for boot in store.boots.values() if (s := boot.oldest_s) is not None), default=None
    )
    before = store.run_s() - store.limits.age_s
    if store.oldest_s is None or store.oldest_s >= before:
        store.looked_s = store.run_s()
        return False
    old = [boot for boot in store.boots.values() if boot.low and boot.head_s < before]
    if not old:
        store.apply([Change.settle])  # the oldest lies in the intake, where nothing is dropped
        return True
    store.apply([partial(Change.drop, key=boot.key, limit=_CHUNK, before_s=before) for boot in old[:_CHUNKS]])
    return True


def _shrink(store: Store) -> bool:
    """Drop the oldest until the database uses less than its limit, with one part in a hundred to spare."""
    limit = store.limits.bytes
    if store.used_bytes <= (limit - limit // 100 if store.shrinking else limit):
        store.shrinking = False
        return False
    store.shrinking = True
    if not any(boot.low for boot in store.boots.values()):
        store.shrinking = bool(store.intake_rows)
        if store.shrinking:
            store.apply([Change.settle])
        return store.shrinking
    store.apply([lambda change: _drop_oldest(change, store)])
    return True


def _drop_oldest(change: Change, store: Store) -> None:
    heads = [(boot.head_s, boot.key) for boot in store.boots.values() if boot.low]
    heapq.heapify(heads)
    for _ in range(_CHUNKS):
        if not heads:
            return
        _second, key = heapq.heappop(heads)
        boot = change.drop(key, _CHUNK)
        if boot.low:
            heapq.heappush(heads, (boot.head_s, key))


def _forget(store: Store) -> bool:
    """Forget the oldest numberings of which nothing is held, when there are too many."""
    if len(store.boots) <= store.limits.boots:
        return False
    idle = [boot for boot in store.boots.values() if boot.held() is None and boot.boot != store.boot]
    surplus = sorted(idle, key=lambda boot: boot.id)[: len(store.boots) - store.limits.boots * 9 // 10]
    if surplus:
        store.apply([partial(Change.forget, key=boot.key) for boot in surplus])
    return False
