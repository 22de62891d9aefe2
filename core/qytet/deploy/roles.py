"""The database's login roles: the owner of the tables, and the reader who sees views only.

Run by the administrator before each migration; safe to repeat, and how a rotated password takes effect.
Role names and passwords cannot be parameters of CREATE ROLE: `format` quotes them in the server (%I, %L),
and passwords are sent as SCRAM verifiers, so that neither statement nor log ever holds one.
"""

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
_READ = "select format('grant qytet_read to %%I', %s::text)"
_OWN = "select format('alter database %%I owner to %%I', current_database(), %s::text)"
_PRIVATE = "select format('revoke all on database %I from public', current_database())"
_CONNECT = "select format('grant connect on database %%I to %%I', current_database(), %s::text)"
_BOUNDED = "select format('alter role %%I set statement_timeout = ''60s''', %s::text)"
_READ_ONLY = "select format('alter role %%I set default_transaction_read_only = on', %s::text)"


def ensure(admin_url: str, owner_url: str, reader_url: str) -> Tier:
    """Make or mend both roles, the database's owner and its extension; tell the tier.

    Raises DatabaseError, or SettingsError when a URL names no user or no password.
    """
    owner, owner_password = _login(owner_url, "[database] url")
    reader, reader_password = _login(reader_url, "[database] read_url")
    with connect(admin_url) as admin:
        try:
            tier = detect(admin)
            with admin.transaction():
                for role in ("qytet_read", owner, reader):
                    if admin.execute(_EXISTS, (role,)).fetchone() is None:
                        _run(admin, _CREATE, role)
                _run(admin, _LOGIN, owner, _verifier(admin, owner, owner_password))
                _run(admin, _MAY_MAKE_ROLES, owner)
                _run(admin, _OWN, owner)
                _run(admin, _PRIVATE)
                _run(admin, _LOGIN, reader, _verifier(admin, reader, reader_password))
                _run(admin, _READ, reader)
                _run(admin, _CONNECT, reader)
                _run(admin, _BOUNDED, reader)
                _run(admin, _READ_ONLY, reader)
        except psycopg.Error as error:
            raise DatabaseError(
                "The database's roles cannot be made.",
                why=str(error).strip(),
                do="Give the URL of an administrator (a superuser) with --admin-file.",
            ) from error
    return tier


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
