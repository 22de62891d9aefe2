"""What a run says of itself: machine-readable lines while it works, and the account at its end."""

import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from qytet_simulators.device.node import unsettled
from qytet_simulators.device.switchboard import Switchboard
from qytet_simulators.device.tally import Tally
from qytet_simulators.device.town import Town

__all__ = ["StatsFile", "snapshot", "unmarked"]


def unmarked(town: Town) -> int:
    """Records accepted, not dropped, and not yet covered by a mark."""
    return sum(len(node.backlog) for node in town.nodes)


def snapshot(town: Town, board: Switchboard) -> dict[str, Any]:
    """Counters as of now: sums, per city, latencies in milliseconds and connections.

    Keys are those of Tally, and `held` (records without a mark), `unsettled` (devices), `cities`,
    `puback_ms` and `stored_ms` (count, p50, p95, p99, max), `connected`, `connections`, `at` (Unix s).
    """
    total = Tally()
    for tally in town.tallies.values():
        total += tally
    held = dict.fromkeys(town.tallies, 0)
    for node in town.nodes:
        held[node.city] += len(node.backlog)
    return {
        "at": round(time.time(), 3),
        "run": town.plan.run,
        "devices": len(town.nodes),
        "connections": len(board.carriers),
        "connected": board.up,
        "held": sum(held.values()),
        "unsettled": len(unsettled(town.nodes)),
        **asdict(total),
        "puback_ms": board.acked_after.summary(),
        "stored_ms": town.stored_after.summary(),
        "cities": {city: {**asdict(tally), "held": held[city]} for city, tally in town.tallies.items()},
    }


class StatsFile:
    """A file of JSON lines, one a second, each written whole; without a path it does nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("ab", buffering=0) if path else None
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def update(self, town: Town, board: Switchboard, *, last: bool = False) -> bool:
        """Write a line if a second has passed, or if it is the last one; whether it was time."""
        now = time.monotonic()
        if not last and now < self._next:
            return False
        self._next = now + 1.0
        if self._file:
            self._file.write(msgspec.json.encode(snapshot(town, board) | {"last": last}) + b"\n")
        return True
