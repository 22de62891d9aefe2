"""A worker: ties source, pipeline and status together, and stops in order.

On SIGTERM or SIGINT it reads nothing more, commits and acknowledges what it holds, sends the last marks,
disconnects and exits; what it could not commit stays with the broker.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import psycopg

from qytet import log
from qytet.asked import Asked
from qytet.db.errors import DatabaseError
from qytet.settings import Settings
from qytet_contract import topics
from qytet_ingest.figures import Figures, Window
from qytet_ingest.metrics import Metrics
from qytet_ingest.mqtt_source import MqttSource, Options
from qytet_ingest.pipeline import Pipeline, Stopped
from qytet_ingest.source import Source
from qytet_ingest.status_http import serve
from qytet_ingest.upkeep import upkeep

__all__ = ["run", "source_for"]

_log = log.get("ingest")


def source_for(settings: Settings, url: str) -> MqttSource:
    """The broker that the settings name; `url` is [broker] url or the embedded broker's."""
    broker, ingest = settings.broker, settings.ingest
    return MqttSource(
        Options(
            url=url,
            client_id=ingest.client_id,
            filters=tuple(topics.ingest_filters(ingest.city or "+")),
            keepalive=broker.keepalive,
            queue_bytes=ingest.queue_bytes,
            ca_file=broker.ca_file,
            cert_file=broker.cert_file,
            key_file=broker.key_file,
        )
    )


def run(settings: Settings, database_url: str, broker_url: str) -> None:
    """Work until asked to stop. Raises QytetError if it cannot even begin."""
    metrics, stopping = Metrics(), Asked()
    source = source_for(settings, broker_url)

    metrics.broker.set_function(lambda: source.connected)
    metrics.held.set_function(lambda: source.held_bytes)
    metrics.reconnects.set_function(lambda: source.reconnects)

    def ready() -> dict[str, bool]:
        return {"broker": source.connected, "database": _value(metrics)}

    with (
        _signals(stopping),
        serve(settings.ingest.http_host, settings.ingest.http_port, metrics.collectors, ready),
    ):
        try:
            pipeline = Pipeline(database_url, settings.ingest, source, metrics, stopping)
        except Stopped:
            return
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable) as error:
            raise DatabaseError(
                "The database lacks the platform's tables.",
                why=str(error).splitlines()[0],
                do="Run `qytet db migrate`.",
            ) from error
        source.start()
        window = Window(source.take_held_most, settings.ingest.queue_bytes)
        figures = Figures(settings.ingest.client_id, metrics, window, settings.data_dir)
        with upkeep(database_url, settings.ingest.rollup_s, metrics, figures):
            _work(pipeline, source, stopping)
    _log.info("stopped")


def _value(metrics: Metrics) -> bool:
    return bool(metrics.collectors.get_sample_value("qytet_ingest_database_connected"))


def _work(pipeline: Pipeline, source: Source, stopping: threading.Event) -> None:
    try:
        while not stopping.is_set():
            chunk = source.receive(pipeline.wait())
            if chunk is not None:
                pipeline.feed(chunk)
            pipeline.tick()
        _finish(pipeline, source)
    except Stopped:
        _log.warning("stopped while the database was away; the broker keeps what was not committed")
    finally:
        source.stop()
        pipeline.close()


def _finish(pipeline: Pipeline, source: Source) -> None:
    """Commit and acknowledge what was received, then what is in hand."""
    source.pause()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (chunk := source.receive(0.05)) is not None:
        pipeline.feed(chunk)
    pipeline.drain()


@contextmanager
def _signals(stopping: threading.Event) -> Iterator[None]:
    """SIGTERM and SIGINT ask to stop."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
