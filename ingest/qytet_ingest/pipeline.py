"""One worker's pipeline: chunks in, batches by size and time, commit, acknowledge, mark.

Only this thread touches the database and the ledger's memory. It waits for a database that is absent or
slow, and while it waits the source's bounded memory makes the broker wait.
"""

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import psycopg

from qytet import log
from qytet.errors import SettingsError
from qytet.settings import IngestSettings
from qytet_contract import codes
from qytet_ingest import notices_sql
from qytet_ingest.batch import Batch
from qytet_ingest.boots import Boots
from qytet_ingest.checked import Checked
from qytet_ingest.deadletters import Choice, Replayer
from qytet_ingest.decode import Decoder
from qytet_ingest.latest import Latest
from qytet_ingest.ledger import Boot
from qytet_ingest.marks import Marks
from qytet_ingest.metrics import Metrics
from qytet_ingest.outbox import Outbox
from qytet_ingest.registry import Device, Registry
from qytet_ingest.rows import Rows
from qytet_ingest.source import Chunk, Source
from qytet_ingest.write import settle, write

__all__ = ["Pipeline", "Stopped"]

_log = log.get("ingest.pipeline")
_T = TypeVar("_T")
_BATCH_BYTES = 16_000_000
_SECOND_TRIES = 100  # letters between two looks at what came in
_LATEST_SHARE = 20  # the table of latest values takes at most a twentieth of the time,
_LATEST_PAUSE_S = 10.0  # or waits so long: a machine that stood still for a second is not busy
_LOOK_S = 1.0  # longest between two looks at the registry's changes and at operators' commands
_BACKOFF_S = (0.05, 5.0)
_GONE = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)


def _shard(text: str) -> tuple[int, int]:
    """Index and count of `index/count`. Raises SettingsError for a part that does not exist: it would take nothing."""
    index, count = map(int, text.split("/"))
    if index >= count:
        raise SettingsError(
            f"[ingest] shard {text} does not exist.",
            do=f"The parts of {count} are 0/{count} to {count - 1}/{count}.",
        )
    return index, count


class Stopped(Exception):  # noqa: N818 - not an error: we were asked to stop
    """The database was absent and we were told to stop waiting for it."""


@dataclass(slots=True)
class _Held:
    """What is to be acknowledged with a batch: (epoch, tokens) of each chunk, and their bytes."""

    acks: list[tuple[int, list[int]]]
    size: int = 0
    since: float = 0.0
    arrived: float = 0.0


@dataclass(slots=True)
class _SecondTry:
    """Letters of a device whose reason may have gone, from the one beyond number `after` on."""

    device: str
    reason: str
    after: int = 0


class Pipeline:
    """Feed it chunks; `tick` does what is due by time; `drain` finishes."""

    def __init__(
        self, url: str, settings: IngestSettings, source: Source, metrics: Metrics, stopping: threading.Event
    ) -> None:
        self._url = url
        self._settings = settings
        self._shard = _shard(settings.shard)
        self._source = source
        self._metrics = metrics
        self._stopping = stopping
        self._connection: psycopg.Connection[Any] | None = None
        self._boots = Boots()
        self._latest = Latest()
        self._marks = Marks()
        self._outbox = Outbox(source.publish)
        self._batch = Batch()
        self._held = _Held([])
        self._marks_due = self._latest_due = self._look_due = 0.0
        self._reload = False
        self._second_tries: deque[_SecondTry] = deque(maxlen=100_000)
        self.registry = self._with_database(lambda c: Registry.load(c, self._shard))
        self._with_database(lambda c: self._boots.load(c, self.registry))
        checked = Checked(
            self.registry,
            city=settings.city,
            find_boot=self._find_boot,
            announce=self._announce,
            ahead_ms=settings.ahead_ms,
        )
        self._checked = checked
        self._decoder = Decoder(self.registry, checked)

    def feed(self, chunk: Chunk) -> None:
        """Take a chunk into the batch; commits when the batch is full."""
        if not self._held.acks:
            self._held.since, self._held.arrived = time.monotonic(), chunk.arrived
        self._metrics.messages.inc(len(chunk.topics))
        self._decoder.feed(self._batch, chunk.topics, chunk.payloads, int(time.time() * 1000))
        self._held.acks.append((chunk.epoch, [token for token in chunk.tokens if token is not None]))
        self._held.size += chunk.size
        if len(self._batch.streams) >= self._settings.batch_readings or self._held.size >= _BATCH_BYTES:
            self.flush()

    def wait(self) -> float:
        """Seconds until something is due."""
        now = time.monotonic()
        due = [now if self._second_tries else now + 0.5]
        if self._held.acks:
            due.append(self._held.since + self._settings.batch_ms / 1000)
        if len(self._marks):
            due.append(self._marks_due)
        return max(0.0, min(due) - now)

    def tick(self) -> None:
        """Do what is due by time: commit an old batch, send marks, write latest values, hear of registry changes."""
        now = time.monotonic()
        if self._held.acks and now >= self._held.since + self._settings.batch_ms / 1000:
            self.flush()
        if now >= self._marks_due:
            self._send_marks()
            self._marks_due = now + self._settings.marks_ms / 1000
        if now >= self._latest_due:
            self._latest_due = self._with_database(self._write_latest)
        if now >= self._look_due:
            self._look_due = now + min(_LOOK_S, self._settings.latest_ms / 1000)
            self._with_database(self._hear)
            self._with_database(self._command)
        if self._second_tries:
            self._with_database(self._try_again)
        if self._reload:
            self._with_database(self._hear)

    def flush(self) -> None:
        """Commit the batch, then acknowledge it; waits for the database as long as it takes."""
        batch, held = self._batch, self._held
        if batch:
            began = time.monotonic()
            self._metrics.duplicates.inc(sum(boot.duplicates for boot in batch.boots))
            self._metrics.late.inc(sum(boot.late for boot in batch.boots))
            asked_again = [boot for boot in batch.boots if boot.duplicates]
            rows = self._with_database(lambda c: write(c, batch, self.registry))
            settle(batch)
            self._doubt(asked_again)
            self._count(batch, rows, began, held)
            self._latest.add(rows)
            self._marks.add(batch.boots)
            self._outbox.awake(birth.device_id for birth in batch.births)
            self._outbox.awake(change.device_id for change in batch.states if change.state == "ready")
        self._batch, self._held = Batch(), _Held([])
        for epoch, tokens in held.acks:
            self._source.acknowledge(epoch, tokens)
        self._source.release(held.size)

    def drain(self) -> None:
        """Commit and acknowledge what is in hand, send the last marks, write the latest values."""
        self.flush()
        self._send_marks()
        self._with_database(self._latest.flush)

    def close(self) -> None:
        """Give the database connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _count(self, batch: Batch, rows: Rows, began: float, held: _Held) -> None:
        metrics, now = self._metrics, time.monotonic()
        metrics.batches.inc()
        metrics.readings.inc(len(rows))
        metrics.records.inc(len(batch.record_seq) + len(batch.undated))
        metrics.size.observe(len(rows))
        metrics.commit.observe(now - began)
        metrics.held_time.observe(waited := max(0.0, now - held.arrived))
        if batch.record_time:
            metrics.lag.observe(max(0.0, time.time() - min(batch.record_time) / 1000))
        for reason, number in Counter(letter.reason for letter in batch.dead).items():
            metrics.dead.labels(reason).inc(number)
        metrics.peaks.committed(time.time(), commit_s=now - began, held_s=waited)

    def _doubt(self, boots: list[Boot]) -> None:
        """A device that resends what we have, above a gap that it does not fill, knows more than we do: look it up.

        The gap was stored by another worker after we read the ledger; without this its mark would never move.
        """
        for boot in boots:
            if boot.has_gap:
                self._with_database(partial(self._boots.refresh, boot=boot))

    def _write_latest(self, connection: psycopg.Connection[Any]) -> float:
        """Write the newest values; tells when they are due again. A database that was away counts for nothing."""
        began = time.monotonic()
        self._latest.flush(connection)
        ended = time.monotonic()
        pause = min((ended - began) * _LATEST_SHARE, _LATEST_PAUSE_S)
        return ended + max(self._settings.latest_ms / 1000, pause)

    def _send_marks(self) -> None:
        messages = self._marks.messages()
        if messages and self._source.publish(messages):
            self._metrics.marks.inc(len(messages))

    def _find_boot(self, device: Device, boot: str) -> Boot:
        return self._with_database(lambda c: self._boots.find(c, self.registry, device, boot))

    def _announce(self, device: Device, keys: list[str]) -> None:
        """Register the datastreams that a birth names; what follows in the same chunk knows them already."""
        _log.info("birth names new datastreams", device=device.name, keys=keys)

        def register(connection: psycopg.Connection[Any]) -> None:
            try:
                notices_sql.announce(connection, device.device_id, keys)
            # Somebody else registers it now, or a property is not migrated.
            except psycopg.IntegrityError as error:
                _log.warning("datastreams not registered", device=device.name, keys=keys, why=str(error))
            self.registry.reload_device(connection, device)

        self._with_database(register)
        self._second_tries.append(_SecondTry(device.name, codes.UNKNOWN_DATASTREAM))

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        """Read the registry again if it changed."""
        changed = bool(list(connection.notifies(timeout=0)))
        if changed or self._reload:
            self._reload = False
            before = self.registry
            self.registry = Registry.load(connection, self._shard, before)
            self._second_tries.extend(
                _SecondTry(name, codes.UNKNOWN_DEVICE)
                for name in sorted(self.registry.devices.keys() - before.devices.keys())
                if self._is_mine(self.registry.devices[name])
            )
            self._decoder.use(self.registry)
            _log.info("registry read", devices=len(self.registry.devices))

    def _command(self, connection: psycopg.Connection[Any]) -> None:
        """Tell devices what operators ask of them."""
        self._metrics.commands.inc(self._outbox.send(connection, self.registry, self._is_mine))

    def _try_again(self, connection: psycopg.Connection[Any]) -> None:
        """Dead letters whose reason may have gone: a few at a time, as live readings come first."""
        self.flush()  # a letter may bear the number of a record in hand
        if self._reload:
            # What an interrupted try registered was rolled back, and memory must not believe in it.
            self._hear(connection)
        again = self._second_tries[0]
        replayer = Replayer(connection, self.registry, self._checked)
        choice = Choice(device=again.device, reason=again.reason, after=again.after)
        outcomes = list(replayer.replay(choice, limit=_SECOND_TRIES))
        if outcomes:
            again.after = outcomes[-1].ident
            _log.info(
                "dead letters tried again", device=again.device, reason=again.reason, letters=len(outcomes)
            )
        if len(outcomes) < _SECOND_TRIES:
            self._second_tries.popleft()

    def _is_mine(self, device: Device) -> bool:
        return device.mine and self._settings.city in ("", device.city)

    def _with_database(self, action: Callable[[psycopg.Connection[Any]], _T]) -> _T:
        """Do something with the database, as often as it takes until it is there. Raises Stopped."""
        delay = _BACKOFF_S[0]
        while True:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect()
                return action(self._connection)
            except _GONE as error:
                self._lost(error)
            if self._stopping.wait(delay * random.uniform(0.5, 1.0)):  # noqa: S311 - jitter, not a secret
                raise Stopped
            delay = min(delay * 2, _BACKOFF_S[1])

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=10,
                application_name="qytet-ingest",
                keepalives_idle=15,  # a host that vanishes without a word is noticed in half a minute, not in hours
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=30_000,
            )
        except psycopg.ProgrammingError:
            raise SettingsError(
                "[database] url is not one that libpq understands.",
                do="Write it as postgresql://user:password@host:port/name; escape other characters (%40).",
            ) from None  # libpq repeats the text, and with it the password
        connection.execute("listen qytet_registry")
        self._reload = True  # changes made while we were away were not heard
        self._metrics.database.set(1)
        _log.info("database connected")
        return connection

    def _lost(self, error: Exception) -> None:
        self._metrics.failures.inc()
        self._metrics.database.set(0)
        _log.warning("database not there, waiting", why=str(error).strip())
        if self._connection is not None:
            self._connection.close()
        self._connection = None
