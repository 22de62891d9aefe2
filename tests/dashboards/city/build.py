"""Stores the three cities: every message through ingest's own decoder and writer, an hour of arrival a transaction.

The server's clock cannot be set back, so that what is noted by it (hours of arrival, last seen) is moved to when it
came after each hour's batch. Past ingest, only its figures of itself and what operators asked of devices are written.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import psycopg

from qytet.db import control, rollup
from qytet.db import registry as places
from qytet.db.migrate import migrate
from qytet_ingest import notices_sql
from qytet_ingest.batch import Batch
from qytet_ingest.boots import Boots
from qytet_ingest.checked import Checked
from qytet_ingest.decode import Decoder
from qytet_ingest.latest import Latest
from qytet_ingest.registry import Registry
from qytet_ingest.write import settle, write
from tests.dashboards.city.messages import Message
from tests.dashboards.city.scenario import HOUR_MS, MINUTE_MS, Scenario
from tests.dashboards.city.truth import HEALTHY
from tests.db.support import run_jobs

__all__ = ["build"]


def build(connection: psycopg.Connection[Any], sent: list[Message], scenario: Scenario) -> None:
    """Migrate the database and fill it with what the scenario's devices sent. Needs an autocommit connection."""
    migrate(connection)
    places.register(connection, places.parse(scenario.description()))
    _Writer(connection, scenario.start_ms).run(sent)
    connection.execute(_FIGURES)
    for device, state in zip(HEALTHY, ("done", "failed", "sent"), strict=True):
        row = control.ask(connection, device, "reboot", {}, expires_in=timedelta(hours=30), asked_by="bench")
        connection.execute(_ANSWERED, {"id": row["command_id"], "state": state})
    if rollup.exists(connection):
        rollup.refresh(connection)
    else:
        run_jobs(connection, "policy_refresh_continuous_aggregate")
    connection.execute("analyze")


def now_ms() -> int:
    """The minute that is running, in Unix milliseconds: where a scenario ends."""
    return int(datetime.now(UTC).timestamp()) // 60 * MINUTE_MS


@dataclass
class _Writer:
    """Ingest without a broker, whose clock stands where the messages' arrival says."""

    connection: psycopg.Connection[Any]
    start_ms: int
    seen: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        row = self.connection.execute("select clock_timestamp()").fetchone()
        assert row
        self.began: datetime = row[0]
        self.registry = Registry.load(self.connection, (0, 1))
        boots = Boots()
        boots.load(self.connection, self.registry)
        checked = Checked(
            self.registry,
            city="",
            find_boot=lambda device, boot: boots.find(self.connection, self.registry, device, boot),
            announce=lambda device, keys: notices_sql.announce(self.connection, device.device_id, keys),
            ahead_ms=300_000,
        )
        self.decoder = Decoder(self.registry, checked)

    def run(self, sent: Iterable[Message]) -> None:
        """Store everything in order of arrival."""
        latest = Latest()
        for hour_ms, part in groupby(sent, key=lambda message: self._block_ms(message.at_ms)):
            batch = self._batch(part)
            latest.add(write(self.connection, batch, self.registry))
            settle(batch)
            self._age(batch, _instant(hour_ms))
        latest.flush(self.connection)
        rows = [(*key, *(_instant(at) for at in span)) for key, span in self.seen.items()]
        columns = zip(("device", "boot", "first", "last"), zip(*rows, strict=True), strict=True)
        self.connection.execute(_SEEN, {name: list(values) for name, values in columns})

    def _batch(self, part: Iterable[Message]) -> Batch:
        batch = Batch()
        for at_ms, group in groupby(part, key=lambda message: message.at_ms):
            taken, now = len(batch.record_boot), list(group)
            self.decoder.feed(batch, [one.topic for one in now], [one.payload for one in now], at_ms + 100)
            for boot in batch.record_boot[taken:]:
                first, _ = self.seen.get((boot.device_id, boot.boot), (at_ms, at_ms))
                self.seen[boot.device_id, boot.boot] = (first, at_ms)
        return batch

    def _block_ms(self, at_ms: int) -> int:
        """The hour of arrival; of the days before most devices began, a quarter of a day is taken at once."""
        hours = 1 if at_ms >= self.start_ms else 6
        return at_ms // (hours * HOUR_MS) * hours * HOUR_MS

    def _age(self, batch: Batch, hour: datetime) -> None:
        """Move what the server's clock noted just now into the hour of arrival."""
        if hour + timedelta(hours=1) > self.began:
            return
        noted = {
            _HOURS: True,
            _LETTERS: bool(batch.dead),
            _LOGS: bool(batch.logs),
            _UNDATED: bool(batch.undated),
            _BIRTHS: bool(batch.births),
            _STATES: bool(batch.states),
        }
        values = {"hour": hour, "at": hour + timedelta(minutes=30), "began": self.began}
        for statement in (statement for statement, is_noted in noted.items() if is_noted):
            self.connection.execute(statement, values)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


_HOURS = "update store.delivery_hour set hour = %(hour)s where hour >= date_trunc('hour', %(began)s, 'UTC')"
_LETTERS = (
    "update store.dead_letter set first_seen = %(at)s, last_seen = %(at)s where first_seen >= %(began)s"
)
_LOGS = "update store.device_log set received_at = %(at)s where received_at >= %(began)s"
_UNDATED = "update store.undated set received_at = %(at)s where received_at >= %(began)s"
_BIRTHS = "update store.device_status set birth_at = %(at)s where birth_at >= %(began)s"
_STATES = "update store.device_status set state_at = %(at)s where state_at >= %(began)s"
_SEEN = """
update store.delivery d set first_seen = n.first, last_seen = n.last
from unnest(%(device)s::int[], %(boot)s::text[], %(first)s::timestamptz[], %(last)s::timestamptz[])
     as n (device, boot, first, last)
where d.device_id = n.device and d.boot = n.boot
"""
_FIGURES = """
insert into store.ingest_minute (worker, minute, messages, records, readings, duplicates, dead_letters, batches,
    commit_ms, commit_ms_max, lag_ms, lag_ms_max, window_used, window_size,
    memory_mb, disk_used, reconnects, last_commit)
select 'bench/0', minute, 40, 40, 420 + n % 60, n % 2, 0, 12, 12 * 9.5, 31, 12 * 260, 640 + n % 90, 90000, 16000000,
       61.5, 0.42, case when n = 700 then 1 else 0 end, minute + interval '50 seconds'
from generate_series(0, 1500) n, lateral (select date_trunc('minute', now()) - n * interval '1 minute' as minute) m
"""
_ANSWERED = """
update store.command set state = %(state)s, asked_at = now() - interval '20 hours',
       sent_at = now() - interval '20 hours',
       answered_at = case %(state)s when 'sent' then null else now() - interval '19 hours' end
where command_id = %(id)s
"""
