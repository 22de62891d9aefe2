"""Calls a run to account: every value that its oracle expects must be one row of the database, and no row more."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from qytet.db.migrate import connect
from qytet.demo import queries
from qytet.demo.children import environment
from qytet.errors import ServerError

__all__ = ["Verdict", "compare", "database_now"]

_ROW = msgspec.json.Decoder(tuple[str, str, int, float | None])


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of readings (values), except `late`, `missing`, `resent` (records) and `dead_letters` (messages)."""

    expected: int
    stored: int
    lost: int
    duplicated: int
    late: int
    missing: int
    resent: int
    dead_letters: int
    lost_examples: list[str]


def database_now(url: str) -> datetime:
    """The database's clock, from which on everything belongs to this run."""
    with connect(url) as connection:
        row = connection.execute(queries.NOW).fetchone()
    if row is None:
        raise ServerError("The database does not tell the time.")
    now: datetime = row[0]
    return now


def compare(url: str, oracle: Path, settings: Path, since: datetime) -> Verdict:
    """Compare a run that began at `since` (by the database's clock) with the database. Raises QytetError."""
    with connect(url) as plain:
        connection = psycopg.Connection[dict[str, Any]]
        with connection.connect(plain.info.dsn, password=plain.info.password, row_factory=dict_row) as link:
            return _compare(link, oracle, settings, since)


def _compare(
    link: psycopg.Connection[dict[str, Any]], oracle: Path, settings: Path, since: datetime
) -> Verdict:
    link.execute(queries.MAKE_EXPECTED)
    with link.cursor() as cursor, cursor.copy(queries.COPY_EXPECTED) as copy:
        for row in _expected(oracle, settings):
            copy.write_row(row)
    link.execute(queries.MAKE_WANTED)
    link.execute("create index on wanted (datastream_id, phenomenon_time)")
    link.execute("analyze wanted")
    parameters = {"since": since}
    counts = _one(link, queries.COUNTS, parameters)
    ledger = _one(link, queries.LEDGER, parameters)
    return Verdict(
        expected=counts["expected"],
        stored=counts["stored"],
        lost=counts["expected"] - counts["stored"],
        duplicated=counts["repeated"] + _one(link, queries.EXTRA, parameters)["count"],
        late=ledger["late"],
        missing=ledger["missing"],
        resent=ledger["resent"],
        dead_letters=_one(link, queries.DEAD_LETTERS, parameters)["count"],
        lost_examples=[
            f"{row['device']} {row['key']} {row['phenomenon_time'].isoformat()} = {row['value']}"
            for row in link.execute(queries.EXAMPLES).fetchall()
        ],
    )


def _one(link: psycopg.Connection[dict[str, Any]], sql: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    row = link.execute(sql, parameters).fetchone()
    if row is None:
        raise ServerError("The database did not answer the comparison.")
    return row


def _expected(oracle: Path, settings: Path) -> Iterator[tuple[str, str, int, float | None]]:
    """What `qytet simulate expect` prints, as it prints it."""
    command = [sys.executable, "-P", "-m", "qytet", "simulate", "expect", str(oracle)]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(settings),
        start_new_session=True,
    ) as program:
        for line in program.stdout or ():
            yield _ROW.decode(line)
    if program.returncode:
        raise ServerError(
            "The run cannot be compared with the database.",
            why=f"`qytet simulate expect` ended with code {program.returncode}; its words are above.",
            do=f"Look into {oracle}.",
        )
