"""What a worker says of itself by the minute: what it gained since it last wrote, and nothing lost or twice."""

import threading
import time
from pathlib import Path

import psycopg
import pytest

from qytet.db.migrate import connect
from qytet_ingest import figures as module
from qytet_ingest.figures import Figures, Window
from qytet_ingest.metrics import Metrics
from qytet_ingest.upkeep import upkeep

ROWS = """
select sum(messages) as messages, sum(readings) as readings, sum(batches) as batches, max(window_used_max) as used,
       max(window_size) as size, max(commit_ms_max) as commit_ms, max(lag_ms_max) as lag_ms, max(memory_mb) as memory,
       max(disk_used) as disk
from qytet.ingest_minute where worker = %s
"""
NOW = "select workers_active, last_commit_age_s from qytet.platform_now"
MEANS = """
select batch_mean, commit_ms_mean, lag_ms_mean, commit_ms_max from qytet.ingest_minute where worker = 'means'
"""


def figures(metrics, held=0, worker="w"):
    return Figures(worker, metrics, Window(lambda: held, 1000), Path("/"))


def minutes(db, worker):
    """All rows of a worker together: the test may run over the end of a minute."""
    with db.cursor(row_factory=psycopg.rows.namedtuple_row) as cursor:
        return cursor.execute(ROWS, [worker]).fetchone()


def batch(metrics, readings, commit_s, held_s):
    metrics.messages.inc(readings)
    metrics.readings.inc(readings)
    metrics.batches.inc()
    metrics.commit.observe(commit_s)
    metrics.held_time.observe(held_s)
    metrics.peaks.committed(time.time(), commit_s=commit_s, held_s=held_s)


def test_a_worker_writes_what_it_gained_since(db):
    """Two writes in a row add up to what the metrics hold; highest values and the window are kept."""
    metrics = Metrics()
    mine = figures(metrics, held=400, worker="adds-up")
    batch(metrics, 10, 0.02, 0.1)
    batch(metrics, 20, 0.01, 0.3)
    mine.write(db)
    batch(metrics, 5, 0.005, 0.05)
    mine.write(db)
    mine.write(db)
    found = minutes(db, "adds-up")
    assert (found.messages, found.readings, found.batches, found.used, found.size) == (35, 35, 3, 400, 1000)
    assert (found.commit_ms, found.lag_ms) == (pytest.approx(20), pytest.approx(300))
    assert 1 < found.memory < 100_000
    assert 0 < found.disk <= 1


def test_means_are_of_the_batches_of_the_minute(db):
    """Readings a batch, commit and lag are means over the batches; without a batch they are null, not zero."""
    metrics = Metrics()
    mine = figures(metrics, worker="means")
    with db.transaction():  # one now() for all: one minute
        mine.write(db)
        assert db.execute(MEANS).fetchall() == [(None, None, None, None)]
        batch(metrics, 10, 0.02, 0.1)
        batch(metrics, 20, 0.01, 0.3)
        mine.write(db)
        assert db.execute(MEANS).fetchall() == [
            (15, pytest.approx(15), pytest.approx(200), pytest.approx(20))
        ]


def test_what_could_not_be_written_is_in_the_next_row(db):
    """A write that fails loses nothing: the next one brings its counts and its highest values."""
    metrics = Metrics()
    mine = figures(metrics, held=7, worker="later")
    batch(metrics, 10, 0.5, 0.9)
    db.execute("set default_transaction_read_only = on")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        mine.write(db)
    db.execute("set default_transaction_read_only = off")
    mine.write(db)
    found = minutes(db, "later")
    assert (found.messages, found.used) == (10, 7)
    assert (found.commit_ms, found.lag_ms) == (pytest.approx(500), pytest.approx(900))


def test_the_upkeep_writes_at_once_and_a_last_time_at_the_end(plain_url, monkeypatch):
    """A worker shows as soon as it runs, and what it did until it stopped is there when it has."""
    metrics, wrote = Metrics(), threading.Event()
    metrics.database.set(1)
    mine = figures(metrics, worker="upkeep")
    real = mine.write

    def write_and_tell(connection):
        real(connection)
        wrote.set()

    monkeypatch.setattr(Figures, "write", lambda _self, connection: write_and_tell(connection))
    with connect(plain_url) as db:
        with upkeep(plain_url, 0.0, metrics, mine):
            assert wrote.wait(20)
            batch(metrics, 3, 0.01, 0.01)
        assert minutes(db, "upkeep").messages == 3
        assert db.execute(
            "select workers_active >= 1, last_commit_age_s < 60 from qytet.platform_now"
        ).fetchone() == (
            True,
            True,
        )


def test_memory_and_disk_are_known_without_the_kernels_files(monkeypatch):
    """Where there is no /proc the highest memory stands in; a place that is gone has no figure."""

    def nothing_there(*_arguments, **_options):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", nothing_there)
    assert module.memory_mb() > 1
    assert module.disk_used(Path("/nowhere/at/all")) is None
