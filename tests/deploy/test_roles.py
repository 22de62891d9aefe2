"""The database's roles: the owner owns and is no superuser, readers see views only, Grafana's those of dashboards."""

import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from qytet.db import migrate
from qytet.db.errors import DatabaseError
from qytet.deploy import roles
from qytet.errors import SettingsError

pytestmark = pytest.mark.servers

DENIED = psycopg.errors.InsufficientPrivilege


class Urls:
    """One empty database as its administrator, its owner, its reader and Grafana reach it."""

    def __init__(self, admin: str) -> None:
        self.admin = admin
        tag = secrets.token_hex(4)  # roles belong to the server, which other tests share
        self.owner = _as(admin, f"own-er_{tag}", secrets.token_hex(8))
        self.reader = _as(admin, f"read'er_{tag}", secrets.token_hex(8))
        self.dashboards = _as(admin, f'dash"board_{tag}', secrets.token_hex(8))

    def ensure(self) -> None:
        roles.ensure(self.admin, self.owner, self.reader, self.dashboards)


def _as(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}"))


@pytest.fixture(params=["postgres_url", "timescale_url"])
def urls(request: pytest.FixtureRequest) -> Iterator[Urls]:
    """Roles made and migrations applied by the owner, as compose.yaml does it, on plain and on TimescaleDB."""
    made = Urls(request.getfixturevalue(request.param))
    made.ensure()
    with migrate.connect(made.owner) as owner:
        migrate.migrate(owner)
    yield made
    with psycopg.connect(made.admin, autocommit=True) as admin:
        for url in (made.owner, made.reader, made.dashboards):
            name = str(psycopg.conninfo.conninfo_to_dict(url)["user"])
            role = psycopg.sql.Identifier(name)
            admin.execute(psycopg.sql.SQL("reassign owned by {} to current_user").format(role))
            admin.execute(psycopg.sql.SQL("drop owned by {}").format(role))
            admin.execute(psycopg.sql.SQL("drop role {}").format(role))


def test_the_owner_migrates_without_being_superuser(urls: Urls) -> None:
    """All migrations pass as an owner with no more rights than it needs; nothing is pending after."""
    with migrate.connect(urls.owner) as owner:
        assert migrate.status(owner).pending == ()
        row = owner.execute(
            "select rolsuper, rolcreatedb, rolbypassrls from pg_roles where rolname = current_user"
        )
        assert row.fetchone() == (False, False, False)


def test_the_reader_sees_views_and_no_tables(urls: Urls) -> None:
    """The reader reads every view of the schema qytet, and neither reads nor writes any table."""
    with psycopg.connect(urls.reader, autocommit=True) as reader:
        reader.execute("select * from qytet.latest")
        for statement in ("select * from store.observation", "create table x ()", "create temp table x ()"):
            with pytest.raises((DENIED, psycopg.errors.ReadOnlySqlTransaction)):
                reader.execute(statement.encode())
        reader.execute("set default_transaction_read_only = off")
        for statement in (
            "insert into store.city default values",
            "delete from store.device",
            "create table x ()",
        ):
            with pytest.raises(DENIED):
                reader.execute(statement.encode())


def test_grafana_sees_what_dashboards_show_and_nothing_else(urls: Urls) -> None:
    """Its role reads figures and readings; no payload, topic or device's text, no table, and it writes nothing."""
    with psycopg.connect(urls.dashboards, autocommit=True) as grafana:
        for view in ("delivery_hour", "platform_now", "dead_letter_hour", "latest", "observation_hour"):
            grafana.execute(f"select * from qytet.{view}".encode())
        grafana.execute("set default_transaction_read_only = off")
        for statement in (
            "select * from qytet.dead_letter",
            "select * from qytet.undated",
            "select * from qytet.device_log",
            "select * from store.observation",
            "select * from public.qytet_migration",
            "delete from store.device",
            "create temp table x ()",
        ):
            with pytest.raises(DENIED):
                grafana.execute(statement.encode())


def test_grafana_cannot_take_the_server_for_itself(urls: Urls) -> None:
    """Its transactions are read-only, its statements end after 15 s, and its connections are counted."""
    with psycopg.connect(urls.dashboards, autocommit=True) as grafana:
        shown = [
            grafana.execute(f"show {name}".encode()).fetchone()
            for name in ("default_transaction_read_only", "statement_timeout", "jit")
        ]
        limit = grafana.execute("select rolconnlimit from pg_roles where rolname = current_user").fetchone()
    assert shown == [("on",), ("15s",), ("off",)]
    assert limit == (20,)


def test_a_deployment_without_grafana_keeps_its_roles(urls: Urls) -> None:
    """Making the roles without a URL for dashboards leaves Grafana's role as it is."""
    roles.ensure(urls.admin, urls.owner, urls.reader)
    with psycopg.connect(urls.dashboards) as grafana:
        grafana.execute("select * from qytet.platform_now")


def test_a_rotated_password_takes_effect_by_repeating(urls: Urls) -> None:
    """With a new password in the URL, ensure lets it in and shuts out the old one; nothing else changes."""
    old, urls.reader = urls.reader, _as(urls.admin, urlsplit(urls.reader).username or "", "another")
    urls.ensure()
    with psycopg.connect(urls.reader) as reader:
        reader.execute("select * from qytet.latest")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(old)


def test_others_cannot_enter_the_database(urls: Urls) -> None:
    """A role of the same server that is neither owner nor reader may not connect."""
    with psycopg.connect(urls.admin) as admin:
        row = admin.execute(
            "select has_database_privilege('pg_monitor', current_database(), 'connect')"
        ).fetchone()
    assert row == (False,)


def test_who_is_no_administrator_is_told(urls: Urls) -> None:
    """Running it with the owner's URL fails with what to do, and the reader still gets in."""
    with pytest.raises(DatabaseError) as caught:
        roles.ensure(urls.owner, urls.owner, urls.reader)
    assert "--admin-file" in caught.value.do
    psycopg.connect(urls.reader).close()


@pytest.mark.parametrize(
    "url", ["", "postgresql://database/qytet", "postgresql://u@h/d", "not a url: hunter2"]
)
def test_a_url_without_login_is_refused_unquoted(url: str) -> None:
    """A URL that names no user and password is refused before anything is asked; its text is not repeated."""
    with pytest.raises(SettingsError) as caught:
        roles.ensure("postgresql://nowhere.invalid/x", url, url)
    assert "hunter2" not in str(caught.value)
