"""What a database without background jobs needs of us: rollups brought up to date, in a thread of its own.

The pipeline never waits for it, several workers may have one each, and a database that is away is waited for.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from qytet import log
from qytet.db import rollup
from qytet_ingest.metrics import Metrics

__all__ = ["upkeep"]

_log = log.get("ingest.upkeep")
STEP_S = 20.0
"""Longest that one round goes on; what is left over waits for the next, which then comes at once."""


@contextmanager
def upkeep(url: str, every_s: float, metrics: Metrics) -> Iterator[None]:
    """Refresh the rollups every `every_s` seconds while the context lasts; 0 never."""
    if not every_s:
        yield
        return
    stopping = threading.Event()
    thread = threading.Thread(
        target=_work, args=(url, every_s, metrics, stopping), name="upkeep", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(STEP_S + 5)


def _work(url: str, every_s: float, metrics: Metrics, stopping: threading.Event) -> None:
    pause = 0.0
    while not stopping.wait(pause):
        try:
            pause = 0.0 if not _round(url, metrics, stopping) else every_s
        except psycopg.Error as error:
            _log.warning("rollups not refreshed, trying again", why=str(error).strip(), in_s=every_s)
            pause = every_s


def _round(url: str, metrics: Metrics, stopping: threading.Event) -> bool:
    """One connection, one refresh; whether nothing was left to do."""
    with psycopg.connect(
        url, autocommit=True, connect_timeout=10, application_name="qytet-upkeep", tcp_user_timeout=30_000
    ) as connection:
        began = time.monotonic()
        done = rollup.refresh(connection, seconds=STEP_S, stopping=stopping)
    if done.until is not None:
        metrics.rolled.set(done.until.timestamp())
    if done.rows or done.mended:
        spent = round(time.monotonic() - began, 3)
        _log.info("rollups refreshed", rows=done.rows, mended=done.mended, whole=done.whole, seconds=spent)
    return done.whole
