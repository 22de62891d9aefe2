"""The TimescaleDB of the tests is the real Apache-2 edition and survives SIGKILL."""

import os
import signal
import threading
from contextlib import closing

import psycopg
import pytest
from tests.servers.timescale import TimescaleServer

from qytet.embedded import _process

pytestmark = pytest.mark.servers


def test_it_is_the_apache_edition(timescale_url: str) -> None:
    """Hypertables exist; a continuous aggregate is refused as not supported, which tells the tiers apart."""
    with psycopg.connect(timescale_url, autocommit=True) as connection:
        assert connection.execute("show timescaledb.license").fetchone() == ("apache",)
        connection.execute("create table o (t timestamptz not null, v float8)")
        connection.execute("select create_hypertable('o', by_range('t', interval '1 day'))")
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            connection.execute(
                "create materialized view h with (timescaledb.continuous) as "
                "select time_bucket('1 hour', t) as b, avg(v) as v from o group by 1 with no data"
            )


def test_a_kill_keeps_what_was_committed(timescale_server: TimescaleServer, timescale_url: str) -> None:
    """After SIGKILL of the postmaster, committed rows of a hypertable are there and uncommitted ones are not."""
    with closing(psycopg.connect(timescale_url, autocommit=True)) as connection:
        connection.execute("create table o (t timestamptz not null, v float8)")
        connection.execute("select create_hypertable('o', by_range('t', interval '1 day'))")
        connection.execute(
            "insert into o select '2026-01-01'::timestamptz + n * interval '1 hour', n from generate_series(1, 500) n"
        )
        connection.autocommit = False
        connection.execute("insert into o values ('2026-02-01', -1)")
        timescale_server.kill()
        timescale_server.start()
    with psycopg.connect(timescale_url) as connection:
        assert connection.execute("select count(*), min(v) from o").fetchone() == (500, 1.0)


def test_a_start_waits_for_the_workers_of_a_killed_server(
    private_timescale: TimescaleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that lives a moment longer than its server, unseen by who killed that, does not stop the next start."""
    monkeypatch.setattr(_process, "_descendants", lambda _pid: [])
    with closing(psycopg.connect(private_timescale.admin_url)) as connection:
        worker = connection.info.backend_pid
        os.kill(worker, signal.SIGSTOP)
        going_on = threading.Timer(1.0, os.kill, (worker, signal.SIGCONT))
        private_timescale.kill()
        going_on.start()
        private_timescale.start()
        going_on.join()
    with psycopg.connect(private_timescale.admin_url) as again:
        assert again.execute("select 1").fetchone() == (1,)
