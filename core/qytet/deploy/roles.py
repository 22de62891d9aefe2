"""The database's login roles: the owner of the tables, and the readers who see views only, Grafana among them.

Run by the administrator before each migration; safe to repeat, and how a rotated password takes effect.
Role names and passwords cannot be parameters of CREATE ROLE: `format` quotes them in the server (%I, %L),
and passwords are sent as SCRAM verifiers, so that neither statement nor log ever holds one.
"""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import conninfo

from qytet.db.errors import DatabaseError
from qytet.db.migrate import connect
from qytet.db.tiers import Tier, detect
from qytet.errors import SettingsError

__all__ = ["ensure"]

_EXISTS = "select 1 from pg_roles where rolname = %s"
_CREATE = "select format('create role %%I', %s::text)"
_LOGIN = (
    "select format('alter role %%I login nosuperuser nocreatedb noreplication nobypassrls password %%L',"
    " %s::text, %s::text)"
)
_MAY_MAKE_ROLES = (
    "select format('alter role %%I createrole', %s::text)"  # the first migration makes qytet_read
)
_MEMBER = "select format('grant %%I to %%I', %s::text, %s::text)"
_OWN = "select format('alter database %%I owner to %%I', current_database(), %s::text)"
_PRIVATE = "select format('revoke all on database %I from public', current_database())"
_CONNECT = "select format('grant connect on database %%I to %%I', current_database(), %s::text)"
_BOUNDED = "select format('alter role %%I set statement_timeout = %%L', %s::text, %s::text)"
_AT_MOST = "select format('alter role %%I connection limit %%s', %s::text, %s::integer)"
_NO_JIT = (
    "select format('alter role %%I set jit = off', %s::text)"  # compiling costs more than a panel's query
)
_READ_ONLY = "select format('alter role %%I set default_transaction_read_only = on', %s::text)"


@dataclass(frozen=True, slots=True)
class _Reader:
    """A role to log in with: what it is a member of, how long a statement may take, how many connections it has."""

    name: str
    password: str
    group: str
    timeout: str
    connections: int = -1  # no limit of its own


def ensure(admin_url: str, owner_url: str, reader_url: str, dashboards_url: str = "") -> Tier:
    """Make or mend the roles, the database's owner and its extension; tell the tier.

    Without `dashboards_url` Grafana gets no role. Raises DatabaseError, or SettingsError when a URL names
    no user or no password.
    """
    owner, owner_password = _login(owner_url, "[database] url")
    readers = [_Reader(*_login(reader_url, "[database] read_url"), "qytet_read", "60s")]
    if dashboards_url:  # twice what the datasource may open, so that another Grafana can take over
        login = _login(dashboards_url, "The URL of the dashboards' role")
        readers.append(_Reader(*login, "qytet_dashboards", "15s", connections=20))
    with connect(admin_url) as admin:
        try:
            tier = detect(admin)
            with admin.transaction():
                _make(admin, owner, *(name for reader in readers for name in (reader.group, reader.name)))
                _own(admin, owner, owner_password)
                for reader in readers:
                    _let_read(admin, reader)
        except psycopg.Error as error:
            raise DatabaseError(
                "The database's roles cannot be made.",
                why=str(error).strip(),
                do="Give the URL of an administrator (a superuser) with --admin-file.",
            ) from error
    return tier


def _make(admin: psycopg.Connection[Any], *roles: str) -> None:
    for role in roles:
        if admin.execute(_EXISTS, (role,)).fetchone() is None:
            _run(admin, _CREATE, role)


def _own(admin: psycopg.Connection[Any], owner: str, password: str) -> None:
    _run(admin, _LOGIN, owner, _verifier(admin, owner, password))
    _run(admin, _MAY_MAKE_ROLES, owner)
    _run(admin, _OWN, owner)
    _run(admin, _PRIVATE)


def _let_read(admin: psycopg.Connection[Any], reader: _Reader) -> None:
    _run(admin, _LOGIN, reader.name, _verifier(admin, reader.name, reader.password))
    _run(admin, _MEMBER, reader.group, reader.name)
    _run(admin, _CONNECT, reader.name)
    _run(admin, _BOUNDED, reader.name, reader.timeout)
    _run(admin, _AT_MOST, reader.name, str(reader.connections))
    _run(admin, _NO_JIT, reader.name)
    _run(admin, _READ_ONLY, reader.name)


def _login(url: str, setting: str) -> tuple[str, str]:
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise SettingsError(f"{setting} is not a libpq URL.") from None  # its text may hold a password
    user, password = parts.get("user"), parts.get("password")
    if not user or not password:
        raise SettingsError(f"{setting} names no user or no password.", why="A role is to be made from it.")
    return str(user), str(password)


def _verifier(admin: psycopg.Connection[Any], role: str, password: str) -> str:
    made = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    return made.decode()


def _run(admin: psycopg.Connection[Any], statement: str, *values: str) -> None:
    """Let the server format the statement, then run it."""
    row = admin.execute(statement.encode(), values or None).fetchone()
    if row is not None:
        admin.execute(str(row[0]).encode())
