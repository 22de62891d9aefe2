"""Doctor on real servers: what is wrong with a database or a broker is told, with how to mend it."""

import datetime as dt
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.servers.mosquitto import MosquittoServer

from qytet.db import migrate
from qytet.doctor import broker as broker_checks
from qytet.doctor import database as database_checks
from qytet.doctor.context import Context
from qytet.doctor.finding import Finding, State, worst
from qytet.embedded import EmbeddedNats, EmbeddedPostgres
from qytet.embedded.ports import free_port
from qytet.settings import Settings

pytestmark = pytest.mark.servers


def _context(tmp_path: Path, **values: object) -> Context:
    return Context(Settings.model_validate({"data_dir": tmp_path / "data", **values}))


def _database(tmp_path: Path, url: str) -> list[Finding]:
    return database_checks.database(_context(tmp_path, database={"url": url}))


def _named(findings: list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


@pytest.fixture
def migrated_url(postgres_url: str) -> str:
    """A database with every migration."""
    with migrate.connect(postgres_url) as connection:
        migrate.migrate(connection)
    return postgres_url


def test_a_migrated_database_is_well(migrated_url: str, tmp_path: Path) -> None:
    """Server, migrations, clock, connections and Grafana's role are told, and nothing is wrong."""
    findings = _database(tmp_path, migrated_url)
    told = {"server", "migrations", "clock", "connections", "dashboards"}
    assert {finding.name for finding in findings} == told
    assert worst(findings) is State.OK, findings
    assert "tier plain" in _named(findings, "server").what


def test_timescale_is_recognised(timescale_url: str, tmp_path: Path) -> None:
    """On TimescaleDB the tier and the extension's version are told."""
    with migrate.connect(timescale_url) as connection:
        migrate.migrate(connection)
    findings = _database(tmp_path, timescale_url)
    assert worst(findings) is State.OK, findings
    assert re.search(r"TimescaleDB \d+\.\d+.*tier timescale", _named(findings, "server").what)


def test_an_empty_database_wants_migrating_and_stays_empty(postgres_url: str, tmp_path: Path) -> None:
    """Doctor names the command, and makes no table itself."""
    found = _named(_database(tmp_path, postgres_url), "migrations")
    assert (found.state, "qytet db migrate" in found.do) == (State.PROBLEM, True)
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(
            "select count(*) from pg_tables where schemaname = 'public'"
        ).fetchone() == (0,)


_DAMAGES: list[tuple[str, str]] = [
    (
        "delete from public.qytet_migration where version = (select max(version) from public.qytet_migration)",
        "pending",
    ),
    ("update public.qytet_migration set sha256 = 'x' where version = 1", "was changed"),
    ("update public.qytet_migration set version = 9999 where version = 1", "newer than this program"),
]


@pytest.mark.parametrize(("damage", "said"), _DAMAGES, ids=[said for _, said in _DAMAGES])
def test_migrations_that_do_not_match_the_program(
    migrated_url: str, tmp_path: Path, damage: str, said: str
) -> None:
    """Pending, changed and unknown migrations are each a problem of their own."""
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute(damage.encode())
    found = _named(_database(tmp_path, migrated_url), "migrations")
    assert (found.state, said in found.what) == (State.PROBLEM, True)


def _wrong_password(url: str) -> str:
    return re.sub(r":[^:@/]+@", ":hunter2@", url)


def _closed_port(url: str) -> str:
    return re.sub(r":\d+/", f":{free_port()}/", url)


def _no_database(url: str) -> str:
    return url + "_nowhere"


@pytest.mark.parametrize(
    ("break_it", "said", "remedy"),
    [
        (_wrong_password, "password authentication failed", "password"),
        (_closed_port, "refused", "Start the server"),
        (_no_database, "does not exist", "Create the database"),
    ],
)
def test_an_unreachable_database_says_why_and_what_to_do(
    postgres_url: str, tmp_path: Path, break_it: Callable[[str], str], said: str, remedy: str
) -> None:
    """A wrong password, a closed port and a missing database are told apart; no password is repeated."""
    findings = _database(tmp_path, break_it(postgres_url))
    assert [finding.state for finding in findings] == [State.PROBLEM]
    assert said in findings[0].what
    assert remedy in findings[0].do
    assert "hunter2" not in findings[0].what + findings[0].do


@pytest.mark.parametrize("url", ["postgresql//qytet:hunter2@127.0.0.1/x", "postgresql://q:hunter2%zz@h/x"])
def test_a_malformed_url_does_not_give_its_password_away(tmp_path: Path, url: str) -> None:
    """A mistyped URL is a problem with its remedy; libpq's words, which repeat the password, are not."""
    (found,) = _database(tmp_path, url)
    assert found.state is State.PROBLEM
    assert "hunter2" not in found.what + found.do
    assert "postgresql://" in found.do


@pytest.mark.parametrize(
    ("ahead", "state"),
    [
        (dt.timedelta(seconds=10), State.WARNING),
        (dt.timedelta(hours=1), State.PROBLEM),
        (dt.timedelta(), State.OK),
    ],
)
def test_a_clock_that_differs_from_the_databases(
    migrated_url: str, tmp_path: Path, ahead: dt.timedelta, state: State
) -> None:
    """Seconds are a warning, minutes a problem: readings would be refused as made in the future."""
    context = _context(tmp_path, database={"url": migrated_url})
    context = replace(context, now=lambda: dt.datetime.now(dt.UTC) + ahead)
    assert _named(database_checks.database(context), "clock").state is state


def test_a_slow_answer_is_no_difference_of_clocks(migrated_url: str, tmp_path: Path) -> None:
    """A host or a line that stands still for a minute while the database is asked is not taken for a wrong clock."""
    asked = iter([dt.datetime.now(dt.UTC), dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)])
    context = replace(_context(tmp_path, database={"url": migrated_url}), now=lambda: next(asked))
    assert _named(database_checks.database(context), "clock").state is State.OK


def test_a_reader_that_sees_tables_is_a_problem(migrated_url: str, tmp_path: Path) -> None:
    """The owner's URL as read_url is found; without read_url the check says how the API reads."""
    context = _context(tmp_path, database={"url": migrated_url, "read_url": migrated_url})
    assert [finding.state for finding in database_checks.reader(context)] == [State.PROBLEM]
    assert [finding.state for finding in database_checks.reader(_context(tmp_path))] == [State.OK]


@pytest.mark.parametrize(
    ("granted", "state", "said"), [(True, State.OK, "no table"), (False, State.PROBLEM, "it sees 0 of")]
)
def test_a_reader_is_judged_by_what_it_sees(
    migrated_url: str, tmp_path: Path, granted: bool, state: State, said: str
) -> None:
    """A role granted qytet_read is well; one that nobody granted anything is told how it gets its rights."""
    role, password = f"reader_{secrets.token_hex(4)}", secrets.token_hex(8)
    with psycopg.connect(migrated_url, autocommit=True) as admin:
        admin.execute(f"create role {role} login password '{password}'".encode())
        try:
            if granted:
                admin.execute(f"grant qytet_read to {role}".encode())
            url = re.sub(r"//[^@]*@", f"//{role}:{password}@", migrated_url)
            (found,) = database_checks.reader(_context(tmp_path, database={"read_url": url}))
            as_owner = _named(_database(tmp_path, url), "migrations")
        finally:
            admin.execute(f"drop role {role}".encode())
    assert found.state is state, found
    assert said in found.what
    assert as_owner.state is State.PROBLEM
    assert "owner" in as_owner.do


def test_a_missing_ca_file_is_not_taken_for_a_broker_that_is_down(tmp_path: Path) -> None:
    """A CA file that is not there is named, before anything is said about the broker."""
    given = {"url": f"mqtts://ingest:x@127.0.0.1:{free_port()}", "ca_file": tmp_path / "nowhere.crt"}
    (found,) = broker_checks.broker(_context(tmp_path, broker=given))
    assert found.state is State.PROBLEM
    assert "nowhere.crt" in found.what


def test_without_url_the_embedded_servers_are_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With empty URLs doctor looks for the embedded pair: not running is a warning that says how to start it."""
    monkeypatch.chdir(tmp_path)
    found = broker_checks.broker(_context(tmp_path))
    assert [finding.state for finding in found] == [State.WARNING]
    assert "make demo" in found[0].do


def test_the_embedded_broker_is_found_and_well(tmp_path: Path) -> None:
    """A running embedded broker is found through its data folder, with login and rights in order."""
    with EmbeddedNats(tmp_path / "data" / "nats"):
        findings = broker_checks.broker(_context(tmp_path))
    assert [(finding.name, finding.state) for finding in findings] == [
        ("login", State.OK),
        ("rights", State.OK),
    ]


def test_mosquitto_is_well_for_ingest(mosquitto_tls: MosquittoServer, tmp_path: Path) -> None:
    """Over TLS with the right CA, ingest's login and rights are in order."""
    url = mosquitto_tls.url("ingest", tls=True)
    findings = broker_checks.broker(_context(tmp_path, broker={"url": url, "ca_file": mosquitto_tls.ca_file}))
    assert worst(findings) is State.OK, findings
    assert {finding.name for finding in findings} == {"login", "rights"}


def test_a_user_without_ingests_rights_is_a_problem(mosquitto_tls: MosquittoServer, tmp_path: Path) -> None:
    """A device's credential in place of ingest's would receive nothing: doctor finds out by a probe."""
    mosquitto_tls.stop()
    mosquitto_tls.add_users(["a-device"])
    mosquitto_tls.start()
    findings = broker_checks.broker(_context(tmp_path, broker={"url": mosquitto_tls.url("a-device")}))
    assert worst(findings) is State.PROBLEM, findings
    assert "acl" in findings[-1].do


def _bad_password(server: MosquittoServer) -> dict[str, object]:
    return {"url": re.sub(r":[^:@/]+@", ":hunter2@", server.url("ingest"))}


def _bad_port(server: MosquittoServer) -> dict[str, object]:
    return {"url": re.sub(r":\d+$", f":{free_port()}", server.url("ingest"))}


def _no_ca(server: MosquittoServer) -> dict[str, object]:
    return {"url": server.url("ingest", tls=True)}


def _plain_to_tls(server: MosquittoServer) -> dict[str, object]:
    return {"url": server.url("ingest", tls=True).replace("mqtts://", "mqtt://")}


def _tls_to_plain(server: MosquittoServer) -> dict[str, object]:
    return {"url": server.url("ingest").replace("mqtt://", "mqtts://")}


def _not_mqtt(_server: MosquittoServer) -> dict[str, object]:
    return {"url": "http://ingest:hunter2@localhost:1"}


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (_bad_password, "password is wrong"),
        (_bad_port, "refused"),
        (_no_ca, "certificate is not trusted"),
        (_plain_to_tls, "closes the connection"),
        (_tls_to_plain, "closes the connection"),
        (_not_mqtt, "not mqtt or mqtts"),
    ],
)
def test_an_unreachable_broker_says_why(
    mosquitto_tls: MosquittoServer,
    tmp_path: Path,
    break_it: Callable[[MosquittoServer], dict[str, object]],
    said: str,
) -> None:
    """Each way not to get in is told apart and has a remedy; no password is repeated."""
    findings = broker_checks.broker(_context(tmp_path, broker=break_it(mosquitto_tls)))
    assert [finding.state for finding in findings] == [State.PROBLEM]
    assert said in findings[0].what, findings
    assert findings[0].do
    assert "hunter2" not in findings[0].what + findings[0].do


def test_the_embedded_database_is_found(private_postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    """With an empty URL and a running embedded server, the owner's URL is found by `qytet.db.where`."""
    from qytet.db.where import embedded_url

    url = embedded_url(private_postgres.data_dir, "postgres")
    with psycopg.connect(url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_what_grafana_may_see_is_judged(migrated_url: str, tmp_path: Path) -> None:
    """A grant of dead letters to dashboards is a problem, and so is a login that may write; both name what to do."""
    role = f"grafana_{secrets.token_hex(4)}"
    with psycopg.connect(migrated_url, autocommit=True) as admin:
        assert _named(_database(tmp_path, migrated_url), "dashboards").state is State.OK
        admin.execute("grant select on qytet.dead_letter to qytet_dashboards")
        shown = _named(_database(tmp_path, migrated_url), "dashboards")
        admin.execute("revoke select on qytet.dead_letter from qytet_dashboards")
        admin.execute(f"create role {role} login".encode())
        try:
            admin.execute(f"grant qytet_dashboards to {role}".encode())
            writing = _named(_database(tmp_path, migrated_url), "dashboards")
            admin.execute(f"alter role {role} set default_transaction_read_only = on".encode())
            well = _named(_database(tmp_path, migrated_url), "dashboards")
        finally:
            admin.execute(f"drop role {role}".encode())
    assert (shown.state, writing.state, well.state) == (State.PROBLEM, State.PROBLEM, State.OK)
    assert "qytet_dashboards" in shown.do
    assert "deploy roles" in writing.do
