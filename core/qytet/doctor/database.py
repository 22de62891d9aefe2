"""Checks of the database: reachable, version, tier, migrations, rights, clock, room for connections."""

import datetime as dt
from typing import Any, LiteralString

import psycopg

from qytet.db import migrate
from qytet.db.errors import DatabaseError
from qytet.db.tiers import Tier
from qytet.db.where import database_url
from qytet.doctor.context import Context
from qytet.doctor.finding import Finding, ok, problem, warning

__all__ = ["database", "reader"]

_OLDEST = 150_000  # PostgreSQL 15; 14, the first with multiranges and date_bin, ends in November 2026
_CLOCK_WARNING, _CLOCK_PROBLEM = dt.timedelta(seconds=2), dt.timedelta(seconds=60)

_TIER = """
select coalesce((select extversion from pg_extension where extname = 'timescaledb'), '') as extension,
       coalesce(current_setting('timescaledb.license', true), '') as license,
       to_regclass('public.qytet_migration') is not null as migrated
"""
_APPLIED = "select version, tier, sha256 from public.qytet_migration order by version"
_MAY_WRITE = """
select has_table_privilege('store.observation', 'insert') and has_table_privilege('store.dead_letter', 'insert')
"""
_CLOCK = "select clock_timestamp()"
_CONNECTIONS = """
select (select count(*) from pg_stat_activity where backend_type = 'client backend'),
       current_setting('max_connections')::integer
"""
# By oid: a name cannot even be looked up by a role without rights on its schema.
_TABLES_READ = """
select count(*) from pg_class c where c.relkind in ('r', 'p') and c.relnamespace = to_regnamespace('store')
    and has_schema_privilege(c.relnamespace, 'usage') and has_table_privilege(c.oid, 'select')
"""
_VIEWS_READ = """
select count(*) filter (where not has_schema_privilege(c.relnamespace, 'usage')
                              or not has_table_privilege(c.oid, 'select')),
       count(*)
from pg_class c where c.relkind = 'v' and c.relnamespace = to_regnamespace('qytet')
"""
# Grafana's role: what it can read that holds what devices sent, and who logs in as a member of it.
_DASHBOARDS = """
select (select count(*) from pg_class c
        where c.relkind in ('r', 'p', 'v') and has_table_privilege(r.oid, c.oid, 'select')
          and (c.relnamespace = to_regnamespace('store')
               or c.relnamespace = to_regnamespace('qytet')
                  and c.relname in ('dead_letter', 'undated', 'device_log'))),
       (select count(*) from pg_auth_members m join pg_roles l on l.oid = m.member and l.rolcanlogin
        where m.roleid = r.oid and not l.rolsuper),
       (select count(*) from pg_auth_members m join pg_roles l on l.oid = m.member and l.rolcanlogin
        where m.roleid = r.oid and not l.rolsuper
          and not coalesce('default_transaction_read_only=on' = any(l.rolconfig), false))
from pg_roles r where r.rolname = 'qytet_dashboards'
"""


def database(context: Context) -> list[Finding]:
    """Everything that one connection as the owner can tell; changes nothing."""
    given = context.settings.database.url.get_secret_value()
    try:
        url = given or database_url()
    except DatabaseError as error:
        return [warning(error.what, error.do)]
    try:
        connection = migrate.connect(url)
    except DatabaseError as error:
        return [_unreachable(error)]
    with connection:
        connection.execute("set default_transaction_read_only = on")
        connection.execute("set statement_timeout = '5s'")
        return [
            *_named("server", _server(connection)),
            *_named("migrations", _migrations_if_allowed(connection)),
            *_named("clock", _clock(connection, context)),
            *_named("connections", _connections(connection)),
            *_named("dashboards", _dashboards(connection)),
        ]


def reader(context: Context) -> list[Finding]:
    """What the API reads with sees every view and no table."""
    url = context.settings.database.read_url.get_secret_value()
    if not url:
        return [ok("[database] read_url is empty: the API reads as the role qytet_read")]
    try:
        connection = migrate.connect(url)
    except DatabaseError as error:
        return [_unreachable(error)]
    with connection:
        hidden, views = _row(connection, _VIEWS_READ)
        (tables,) = _row(connection, _TABLES_READ)
    if tables:
        return [
            problem(
                f"it can read {tables} tables, not only views",
                "Give read_url a role granted qytet_read only.",
            )
        ]
    if hidden or not views:
        return [
            problem(
                f"it sees {views - hidden} of {views} views", "Grant it qytet_read: `qytet deploy roles`."
            )
        ]
    return [ok(f"it sees {views} views and no table")]


def _unreachable(error: DatabaseError) -> Finding:
    """Say what to mend from what libpq says, or from what it must not say."""
    if not error.why:
        return problem(error.what, error.do)
    why = " ".join(error.why.split())
    advice = {
        "password authentication failed": "Correct the password in the settings, or `qytet deploy roles`.",
        "does not exist": "Create the database or the role, or correct the name in the URL.",
        "refused": "Start the server, or correct host and port in the URL.",
        "timeout": "Check host, port and firewalls on the way.",
        "too many": "Raise max_connections, or lower [database] pool_size.",
    }
    do = next((text for sign, text in advice.items() if sign in why), "Correct the URL in the settings.")
    return problem(f"not reachable: {why}", do)


def _server(connection: psycopg.Connection[Any]) -> list[Finding]:
    version = connection.info.server_version
    extension, licence, _ = _row(connection, _TIER)
    tier = Tier.PLAIN if not extension else Tier.COMMUNITY if licence == "timescale" else Tier.TIMESCALE
    text = f"PostgreSQL {version // 10_000}.{version % 10_000}"
    text += f", TimescaleDB {extension}" if extension else ""
    if version < _OLDEST:
        return [problem(f"{text} is too old", "Upgrade the server to PostgreSQL 15 or newer.")]
    return [ok(f"{text}, tier {tier}")]


def _migrations_if_allowed(connection: psycopg.Connection[Any]) -> list[Finding]:
    try:
        return _migrations(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        why = str(error).splitlines()[0]
        return [
            problem(f"this role is not the owner: {why}", "Use the owner's URL, or `qytet deploy roles`.")
        ]


def _migrations(connection: psycopg.Connection[Any]) -> list[Finding]:
    *_, migrated = _row(connection, _TIER)
    if not migrated:
        return [problem("the database has no tables of ours", "Run `qytet db migrate`.")]
    applied = {version: (tier, digest) for version, tier, digest in connection.execute(_APPLIED)}
    if not applied:
        return [problem("no migration is applied", "Run `qytet db migrate`.")]
    known = {m.version: m for m in migrate.available(Tier(next(iter(applied.values()))[0]))}
    if newer := sorted(set(applied) - set(known)):
        return [problem(f"migration {newer[0]} is newer than this program", "Install the newer program.")]
    changed = [version for version, (_, digest) in applied.items() if known[version].sha256 != digest]
    if changed:
        return [problem(f"migration {changed[0]} was changed after it was applied", "Restore its file.")]
    if pending := len(set(known) - set(applied)):
        return [problem(f"{pending} of {len(known)} migrations are pending", "Run `qytet db migrate`.")]
    (may_write,) = _row(connection, _MAY_WRITE)
    if not may_write:
        return [problem("this role may not store readings", "Use the owner's URL, or `qytet deploy roles`.")]
    return [ok(f"{len(applied)} applied, none pending; this role may store readings")]


def _clock(connection: psycopg.Connection[Any], context: Context) -> list[Finding]:
    """Compare both clocks; what the way there and back took is no difference."""
    before = context.now()
    (theirs,) = _row(connection, _CLOCK)
    after = context.now()
    difference = max(before - theirs, theirs - after, dt.timedelta())
    text = f"{difference.total_seconds():.3f} s between this host's clock and the database's"
    if difference >= _CLOCK_PROBLEM:
        return [problem(text, "Set both by a time service: readings would be refused as made in the future.")]
    if difference >= _CLOCK_WARNING:
        return [warning(text, "Let both hosts run a time service (systemd-timesyncd, chrony).")]
    return [ok(text)]


def _connections(connection: psycopg.Connection[Any]) -> list[Finding]:
    used, limit = _row(connection, _CONNECTIONS)
    text = f"{used} of {limit} connections in use"
    if used > limit * 0.9:
        return [warning(text, "Raise max_connections, or close what is idle.")]
    return [ok(text)]


def _dashboards(connection: psycopg.Connection[Any]) -> list[Finding]:
    """What Grafana may see; nothing before the migration that makes its role."""
    found = connection.execute(_DASHBOARDS).fetchone()
    if found is None:
        return []
    hidden, logins, writing = found
    if hidden:
        return [
            problem(
                f"dashboards can read {hidden} tables and views that are not for them",
                "Revoke them from the role qytet_dashboards: they hold what devices sent.",
            )
        ]
    if writing:
        return [problem("Grafana's transactions are not read-only", "Run `qytet deploy roles` again.")]
    if not logins:
        return [ok("nobody logs in as qytet_dashboards; for Grafana: `qytet deploy roles --dashboards-file`")]
    return [ok("Grafana's role sees what dashboards show, and reads only")]


def _row(connection: psycopg.Connection[Any], query: LiteralString) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    if row is None:
        raise DatabaseError("The database answered nothing.")
    return tuple(row)


def _named(name: str, findings: list[Finding]) -> list[Finding]:
    return [Finding(finding.state, finding.what, finding.do, name=name) for finding in findings]
