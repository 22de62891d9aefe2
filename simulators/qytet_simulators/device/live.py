"""A run as people watch it: a small table on a terminal, one line every ten seconds elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from qytet_simulators.city.fleet import Fleet

__all__ = ["LiveView", "account"]

QUIET_S = 10.0  # s between two lines where nobody watches


class LiveView:
    """Shows snapshots on standard error; a context manager."""

    def __init__(self, fleet: Fleet, *, enabled: bool) -> None:
        self._names = {city.slug: city.name for city in fleet.cities}
        self._console = Console(stderr=True)
        self._enabled = enabled
        self._live = Live(console=self._console, refresh_per_second=2) if self._on_terminal else None
        self._next_line = 0.0
        self._before: dict[str, Any] | None = None

    @property
    def _on_terminal(self) -> bool:
        return self._enabled and self._console.is_terminal

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def update(self, now: dict[str, Any]) -> None:
        """Show one snapshot."""
        if self._live:
            self._live.update(self._table(now))
        elif self._enabled and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + QUIET_S
            sys.stderr.write(_line(now) + "\n")
        self._before = now

    def _table(self, now: dict[str, Any]) -> Table:
        table = Table(
            title=f"{now['devices']} devices, {now['connected']}/{now['connections']} connections up"
        )
        table.add_column("city")
        for column in ("readings/s", "records", "stored", "held", "resent", "dropped"):
            table.add_column(column, justify="right")
        for slug, tally in now["cities"].items():
            rate = self._rate(slug, tally, now["at"])
            cells = (tally[name] for name in ("records", "stored", "held", "resent", "dropped"))
            table.add_row(self._names.get(slug, slug), rate, *(f"{cell:,}" for cell in cells))
        table.caption = f"publish to stored: {_latency(now['stored_ms'])}"
        return table

    def _rate(self, slug: str, tally: dict[str, Any], at: float) -> str:
        if self._before is None or at <= self._before["at"]:
            return ""
        made = tally["readings"] - self._before["cities"][slug]["readings"]
        return f"{made / (at - self._before['at']):,.0f}"


def account(last: dict[str, Any]) -> str:
    """What a run has to answer for, in sentences."""
    lines = [
        f"{last['records']:,} records with {last['readings']:,} readings accepted by {last['devices']} devices.",
        (
            f"{last['stored']:,} marked as stored, {last['dropped']:,} dropped from full backlogs, "
            f"{last['unmarked']:,} not marked yet."
        ),
        (
            f"{last['messages']:,} messages; {last['backfilled']:,} records as backfill, {last['resent']:,} resent, "
            f"{last['repeated']:,} repeated on purpose, {last['garbage']:,} malformed messages."
        ),
        f"Publish to PUBACK {_latency(last['puback_ms'])}; publish to stored {_latency(last['stored_ms'])}.",
    ]
    if last["unmarked"]:
        lines.append(
            "What is not marked may be stored or not: compare the oracle with the database, or ask ingest."
        )
    return "\n".join(lines)


def _line(now: dict[str, Any]) -> str:
    return (
        f"{now['records']:,} records, {now['stored']:,} stored, {now['held']:,} held, {now['resent']:,} resent, "
        f"{now['connected']}/{now['connections']} connections up"
    )


def _latency(found: dict[str, Any]) -> str:
    if not found["count"]:
        return "unknown"
    return f"p50 {found['p50']} ms, p95 {found['p95']} ms, p99 {found['p99']} ms"
