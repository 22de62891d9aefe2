"""Ingest's figures for Prometheus; counted per batch, so that they cost the hot path nothing."""

import threading

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["Metrics", "Peaks"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)


class Peaks:
    """The highest values since somebody last asked, and when the last commit was. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._highest: dict[str, float] = {}
        self.last_commit: float | None = None

    def note(self, name: str, value: float) -> None:
        """Remember the value if it is the highest."""
        with self._lock:
            self._highest[name] = max(value, self._highest.get(name, 0.0))

    def committed(self, at: float, *, commit_s: float, held_s: float) -> None:
        """Note a batch committed at this Unix time, in so many seconds, so many after it came."""
        self.last_commit = at
        self.note("commit_s", commit_s)
        self.note("held_s", held_s)

    def take(self) -> dict[str, float]:
        """The highest values; forgets them."""
        with self._lock:
            taken, self._highest = self._highest, {}
            return taken


class Metrics:
    """All figures of one worker, in a collector registry of its own."""

    def __init__(self) -> None:
        self.collectors = CollectorRegistry()
        self.peaks = Peaks()
        self.messages = self._counter("messages", "Messages received from the broker")
        self.records = self._counter("records", "Records stored, dated or not")
        self.readings = self._counter("readings", "Readings stored")
        self.duplicates = self._counter("duplicates", "Records that the ledger knew already")
        self.late = self._counter("late", "Records stored more than a minute after their time")
        self.dead = Counter(
            "qytet_ingest_dead_letters", "Messages kept as dead letters", ["reason"], registry=self.collectors
        )
        self.batches = self._counter("batches", "Transactions committed")
        self.failures = self._counter("database_failures", "Times that the database was not there")
        self.marks = self._counter("marks", "Stored marks sent")
        self.commands = self._counter("commands", "Commands sent to devices, repetitions included")
        self.reconnects = self._gauge("broker_reconnects", "Times that the broker had to be connected again")
        self.held = self._gauge("held_bytes", "Bytes received and not yet committed")
        self.broker = self._gauge("broker_connected", "1 while the subscription stands")
        self.database = self._gauge("database_connected", "1 while the database answers")
        self.rolled = self._gauge("rolled_until_seconds", "Unix time up to which rollups hold all readings")
        self.size = Histogram(
            "qytet_ingest_batch_readings",
            "Readings of a batch",
            buckets=(1, 10, 100, 1000, 5000, 10000, 20000, 50000, 100000),
            registry=self.collectors,
        )
        self.commit = Histogram(
            "qytet_ingest_commit_seconds",
            "Seconds to commit a batch",
            buckets=_SECONDS,
            registry=self.collectors,
        )
        self.held_time = Histogram(
            "qytet_ingest_held_seconds",
            "Seconds from a message's arrival to its commit, the first of each batch",
            buckets=_SECONDS,
            registry=self.collectors,
        )
        self.lag = Histogram(
            "qytet_ingest_lag_seconds",
            "Seconds from a live record's own time to its commit, the slowest of each batch",
            buckets=_SECONDS,
            registry=self.collectors,
        )

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"qytet_ingest_{name}", text, registry=self.collectors)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"qytet_ingest_{name}", text, registry=self.collectors)
