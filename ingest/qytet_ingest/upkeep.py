"""What ingest does for the database by the way: rollups brought up to date, and its own figures; in its own thread.

The pipeline never waits for it, several workers may have one each, and a database that is away is waited for.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from qytet import log
from qytet.db import rollup
from qytet_ingest.figures import Figures
from qytet_ingest.metrics import Metrics

__all__ = ["upkeep"]

_log = log.get("ingest.upkeep")
STEP_S = 20.0
"""Longest that one round goes on; what is left over waits for the next, which then comes at once."""
FIGURES_S = 10.0
"""Seconds between two looks at this worker's own figures."""
_PRUNE_S = 3600.0  # figures that are old enough to go can wait an hour
_PRUNE = "select store.drop_figures()"


@contextmanager
def upkeep(url: str, every_s: float, metrics: Metrics, figures: Figures) -> Iterator[None]:
    """Write `figures`, and refresh the rollups every `every_s` seconds (0 never), while the context lasts."""
    stopping = threading.Event()
    work = _Upkeep(url, every_s, metrics, figures, stopping)
    thread = threading.Thread(target=work.run, name="upkeep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(STEP_S + 5)


@dataclass(slots=True)
class _Upkeep:
    """The thread's work and when what is due; `*_due` by the monotonic clock."""

    url: str
    every_s: float
    metrics: Metrics
    figures: Figures
    stopping: threading.Event
    rollup_due: float = 0.0
    prune_due: float = 0.0

    def run(self) -> None:
        pause = 0.0
        while not self.stopping.wait(pause):
            pause = FIGURES_S
            try:
                if not self._round():
                    pause = 0.0
            except psycopg.Error as error:
                _log.warning("upkeep failed, trying again", why=str(error).strip(), in_s=pause)
        if self.metrics.collectors.get_sample_value("qytet_ingest_database_connected"):
            try:
                self._last()
            except psycopg.Error as error:
                _log.warning("last figures not written", why=str(error).strip())

    def _round(self) -> bool:
        """One connection for what is due; whether no rollup was left over."""
        with self._connect() as connection:
            self.figures.write(connection)
            if time.monotonic() >= self.prune_due:
                self.prune_due = time.monotonic() + _PRUNE_S
                connection.execute(_PRUNE)
            if not self.every_s or time.monotonic() < self.rollup_due:
                return True
            self.rollup_due = time.monotonic() + self.every_s
            if not self._rollup(connection):
                self.rollup_due = 0.0
                return False
            return True

    def _rollup(self, connection: psycopg.Connection[Any]) -> bool:
        began = time.monotonic()
        done = rollup.refresh(connection, seconds=STEP_S, stopping=self.stopping)
        if done.until is not None:
            self.metrics.rolled.set(done.until.timestamp())
        if done.rows or done.mended or done.kept:
            spent = round(time.monotonic() - began, 3)
            _log.info(
                "rollups refreshed",
                rows=done.rows,
                mended=done.mended,
                kept=done.kept,
                whole=done.whole,
                seconds=spent,
            )
        return done.whole

    def _last(self) -> None:
        """What happened since the last look: a worker that runs for seconds shows, too."""
        with self._connect() as connection:
            self.figures.write(connection)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self.url,
            autocommit=True,
            connect_timeout=10,
            application_name="qytet-upkeep",
            tcp_user_timeout=30_000,
        )
