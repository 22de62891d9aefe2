"""The PGlite server speaks enough of PostgreSQL's protocol to stand for TimescaleDB Community."""

import threading

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from tests.servers.pglite_server import PgliteServer

pytestmark = pytest.mark.servers


def test_parameters_and_prepared_statements_keep_apart(pglite_url: str) -> None:
    """Two clients may prepare statements under the same names, and each gets its own answers."""
    with (
        psycopg.connect(pglite_url, autocommit=True) as one,
        psycopg.connect(pglite_url, autocommit=True) as two,
    ):
        for number in range(3):
            assert one.execute("select %s::int + 1", (number,), prepare=True).fetchone() == (number + 1,)
            assert two.execute("select %s::text || '!'", (str(number),), prepare=True).fetchone() == (
                f"{number}!",
            )


def test_binary_copy_in_and_out(pglite_url: str) -> None:
    """Rows that go in by binary COPY come out by binary COPY unchanged, and a broken COPY leaves no row."""
    rows = [(number, number * 0.5, f"é{number}") for number in range(1000)]
    with psycopg.connect(pglite_url) as connection, connection.cursor() as cursor:
        cursor.execute("create table r (a int primary key, b float8, c text)")
        with cursor.copy("copy r (a, b, c) from stdin (format binary)") as copy:
            copy.set_types(["int4", "float8", "text"])
            for row in rows:
                copy.write_row(row)
        connection.commit()
        with pytest.raises(psycopg.errors.UniqueViolation), cursor.copy("copy r from stdin") as copy:
            copy.write_row((1, 0.0, "again"))
        connection.rollback()
        with pytest.raises(ValueError, match="over"):
            _give_up(cursor)
        assert connection.info.transaction_status == TransactionStatus.INERROR
        connection.rollback()
        with cursor.copy("copy (select * from r order by a) to stdout (format binary)") as copy:
            copy.set_types(["int4", "float8", "text"])
            assert list(copy.rows()) == rows


def _give_up(cursor: psycopg.Cursor[TupleRow]) -> None:
    with cursor.copy("copy r from stdin") as copy:
        copy.write_row((5000, 0.0, "unfinished"))
        raise ValueError("the writer gives up: it's over")


def test_transactions_exclude_each_other(pglite_url: str) -> None:
    """A client in a transaction owns the backend; another waits and then sees what was committed."""
    seen: list[object] = []

    def read() -> None:
        with psycopg.connect(pglite_url) as other:
            seen.append(other.execute("select count(*) from s").fetchone())

    with psycopg.connect(pglite_url) as connection:
        connection.execute("create table s (a int)")
        with connection.transaction():
            connection.execute("insert into s values (1)")
            reader = threading.Thread(target=read)
            with pytest.raises(psycopg.errors.DivisionByZero):
                _fail_in_savepoint(connection)
        connection.commit()
        reader.start()
        reader.join(60)
    assert seen == [(1,)]


def _fail_in_savepoint(connection: psycopg.Connection[TupleRow]) -> None:
    with connection.transaction():
        connection.execute("insert into s values (2)")
        connection.execute("select 1/0")


def test_a_client_that_vanishes_leaves_no_transaction(pglite_url: str) -> None:
    """What a client had not committed when its connection ended is rolled back."""
    with psycopg.connect(pglite_url) as connection:
        connection.execute("create table v (a int)")
    gone = psycopg.connect(pglite_url)
    gone.execute("insert into v values (1)")
    gone.pgconn.finish()
    with psycopg.connect(pglite_url) as connection:
        assert connection.execute("select count(*) from v").fetchone() == (0,)


def test_notifications_reach_those_who_listen(pglite_url: str) -> None:
    """A NOTIFY of one client arrives at another one that listens, and at nobody else."""
    with (
        psycopg.connect(pglite_url, autocommit=True) as ear,
        psycopg.connect(pglite_url, autocommit=True) as mouth,
    ):
        ear.execute("listen news")
        mouth.execute("notify news, 'hello'")
        heard = next(ear.notifies(timeout=60))
        assert (heard.channel, heard.payload) == ("news", "hello")
        assert list(mouth.notifies(timeout=0.1)) == []


def test_community_features_work(pglite_url: str) -> None:
    """Continuous aggregates, columnstore and policies run, jobs by hand."""
    with psycopg.connect(pglite_url, autocommit=True) as connection:
        assert connection.execute("show timescaledb.license").fetchone() == ("timescale",)
        connection.execute("create table o (t timestamptz not null, d int not null, v float8)")
        connection.execute("select create_hypertable('o', by_range('t', interval '1 day'))")
        connection.execute(
            "insert into o select '2026-01-01'::timestamptz + n * interval '1 minute', 1, n "
            "from generate_series(0, 2879) n"
        )
        connection.execute(
            "create materialized view h with (timescaledb.continuous) as "
            "select time_bucket('1 hour', t) as b, d, avg(v) as v from o group by 1, 2 with no data"
        )
        connection.execute("call refresh_continuous_aggregate('h', null, null)")
        # 48 hourly means of 60 k + 29.5
        assert connection.execute("select count(*), sum(v) from h").fetchone() == (
            48,
            69_096.0,
        )
        connection.execute("alter table o set (timescaledb.enable_columnstore, timescaledb.segmentby = 'd')")
        connection.execute("select compress_chunk(c) from show_chunks('o') c")
        job = connection.execute("select add_retention_policy('o', interval '1 day')").fetchone()
        assert job is not None
        connection.execute("call run_job(%s)", job)
        assert connection.execute("select count(*) from o").fetchone() == (0,)


def test_databases_are_apart(pglite_url: str, pglite_server: PgliteServer) -> None:
    """A table of one database does not exist in another, and an unknown database is refused."""
    with psycopg.connect(pglite_url, autocommit=True) as connection:
        connection.execute("create table only_here (a int)")
    with psycopg.connect(pglite_server.admin_url) as admin:
        assert admin.execute("select to_regclass('only_here')").fetchone() == (None,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(pglite_server.url_for("nowhere"))
