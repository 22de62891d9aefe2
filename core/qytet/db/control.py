"""What operators ask of devices: ask, list, show, cancel and await commands; ingest sends them and hears answers."""

import json
import secrets
import time
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from qytet.errors import InputError, NotFoundError
from qytet_contract import notices

__all__ = ["FINAL", "ask", "await_answer", "cancel", "list_commands", "show"]

FINAL = ("done", "failed", "expired", "cancelled")
"""States after which nothing more comes."""
MAX_ARGS = 4096
"""Bytes of a command's arguments: a node has little memory."""

Row = dict[str, Any]


def ask(
    connection: psycopg.Connection[Any],
    device: str,
    name: str,
    args: dict[str, Any],
    *,
    expires_in: timedelta,
    asked_by: str = "",
) -> Row:
    """Put a command to `device` on its way; returns its row. Raises NotFoundError or InputError."""
    if not 0 < len(name) <= notices.MAX_TEXT:
        raise InputError(f"A command's name has 1 to {notices.MAX_TEXT} characters.")
    if len(json.dumps(args, ensure_ascii=False).encode()) > MAX_ARGS:
        raise InputError(f"The arguments of {name} are too large.", why=f"A device takes {MAX_ARGS} bytes.")
    if expires_in <= timedelta(0):
        raise InputError("A command needs time to be carried out.", do="Let it expire later than now.")
    ident = f"c{secrets.token_hex(8)}"
    values = {
        "id": ident, "device": device, "name": name, "args": Jsonb(args), "by": asked_by, "in": expires_in,
    }  # fmt: skip
    found = _rows(connection, _ASK, values)
    if not found:
        raise NotFoundError(f"No device {device} is in service.", do="`qytet device list` names all.")
    return found[0]


def list_commands(
    connection: psycopg.Connection[Any], *, device: str = "", open_only: bool = False, limit: int = 100
) -> list[Row]:
    """Commands, newest first; of one device, or only those without a final answer, if asked."""
    values = {"device": device, "open": open_only, "final": list(FINAL), "limit": limit}
    return _rows(connection, _LIST, values)


def show(connection: psycopg.Connection[Any], ident: str) -> Row:
    """One command. Raises NotFoundError."""
    found = _rows(connection, _SHOW, {"id": ident})
    if not found:
        raise NotFoundError(f"There is no command {ident}.", do="`qytet command list` names the newest.")
    return found[0]


def cancel(connection: psycopg.Connection[Any], ident: str) -> Row:
    """Send a command no more; a device that has it already may still carry it out. Raises NotFoundError, InputError."""
    found = _rows(connection, _CANCEL, {"id": ident})
    if found:
        return found[0]
    known = show(connection, ident)
    raise InputError(f"The command {ident} cannot be cancelled.", why=f"It is {known['state']} already.")


def await_answer(connection: psycopg.Connection[Any], ident: str, seconds: float) -> Row:
    """The command once it has a final answer, or as it is after `seconds`. Raises NotFoundError."""
    deadline = time.monotonic() + seconds
    connection.execute("listen qytet_command")
    found = show(connection, ident)
    while found["state"] not in FINAL and (left := deadline - time.monotonic()) > 0:
        for _ in connection.notifies(timeout=left, stop_after=1):
            break
        found = show(connection, ident)
    return found


def _rows(connection: psycopg.Connection[Any], query: str, values: Row) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, values).fetchall()


_ASK = """
with asked as (
    insert into store.command (command_id, device_id, name, args, asked_by, expires_at)
    select %(id)s, device_id, %(name)s, %(args)s, %(by)s, now() + %(in)s
    from store.device where name = %(device)s and valid @> now()
    returning *)
select command_id, %(device)s as device, name, args, state, why, asked_by, asked_at, expires_at, sends from asked
"""
_LIST = """
select command_id, device, city, name, args, state, why, asked_by, asked_at, expires_at, sent_at, sends, answered_at
from qytet.command
where (%(device)s = '' or device = %(device)s) and not (%(open)s and state = any (%(final)s))
order by asked_at desc, command_id limit %(limit)s
"""
_SHOW = """
select command_id, device, city, name, args, state, why, asked_by, asked_at, expires_at, sent_at, sends, answered_at
from qytet.command where command_id = %(id)s
"""
_CANCEL = """
with ended as (
    update store.command set state = 'cancelled', answered_at = now()
    where command_id = %(id)s and state in ('waiting', 'sent') returning *)
select command_id, d.name as device, ended.name, ended.state, sends from ended join store.device d using (device_id)
"""
