"""Migrations: numbered SQL files, forward only, each applied once in a transaction of its own.

`NNNN_name.sql` is for every tier; `NNNN_name.{plain,timescale,community}.sql` for one tier, or for several with a
plus between their names.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg

from qytet.db.errors import DatabaseError, MigrationError, TierError
from qytet.db.tiers import Tier, detect

__all__ = ["Migration", "Report", "available", "connect", "migrate", "status"]

_LOCK = 0x5159544554  # "QYTET": one migrator at a time
_TABLE = """
create table if not exists public.qytet_migration (
    version integer primary key, name text not null, tier text not null, sha256 text not null,
    applied_at timestamptz not null default now())
"""
_APPLIED = "select version, name, tier, sha256 from public.qytet_migration order by version"
_RECORD = "insert into public.qytet_migration (version, name, tier, sha256) values (%s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name without tier and ending, and its text."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Digest by which a later change of an applied file is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Report:
    """What `migrate` or `status` found: the tier, what is applied, and what was (or would be) applied now."""

    tier: Tier
    applied: tuple[str, ...]
    pending: tuple[str, ...]


def connect(url: str) -> psycopg.Connection[Any]:
    """An autocommit connection. Raises DatabaseError with what to do, never with the URL's password."""
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.ProgrammingError:
        raise DatabaseError(
            "The database's URL is not one that libpq understands.",
            do="Write [database] url as postgresql://user:password@host:port/name; escape other characters (%40).",
        ) from None  # libpq repeats the text, and with it the password
    except psycopg.OperationalError as error:
        raise DatabaseError(
            "The database cannot be reached.",
            why=str(error).strip(),
            do="Check [database] url and that the server runs: `qytet doctor` tests each step.",
        ) from error


def available(tier: Tier) -> list[Migration]:
    """The migrations of one tier, in order."""
    found: dict[int, Migration] = {}
    for file in sorted(resources.files("qytet.db").joinpath("migrations").iterdir(), key=lambda f: f.name):
        parts = file.name.removesuffix(".sql").split(".")
        if not file.name.endswith(".sql") or (len(parts) == 2 and tier not in parts[1].split("+")):
            continue
        number, _, name = parts[0].partition("_")
        if int(number) in found:
            raise MigrationError(f"Two migrations bear the number {number} on the tier {tier}.")
        found[int(number)] = Migration(int(number), name, file.read_text(encoding="utf-8"))
    return [found[version] for version in sorted(found)]


def migrate(connection: psycopg.Connection[Any], *, upto: int | None = None) -> Report:
    """Bring the database to the newest version (or to `upto`), and its properties to the catalogue.

    Safe to call from several programs at once: the others wait. Raises MigrationError or TierError.
    """
    tier = detect(connection)
    connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
    try:
        connection.execute(_TABLE)
        done = _applied(connection, tier)
        todo = [m for m in available(tier) if m.version not in done and (upto is None or m.version <= upto)]
        for migration in todo:
            _apply(connection, migration, tier)
        if upto is None:
            _seed(connection)
    finally:
        connection.execute("select pg_advisory_unlock(%s)", (_LOCK,))
    return Report(tier, tuple(done.values()), tuple(f"{m.version:04} {m.name}" for m in todo))


def status(connection: psycopg.Connection[Any]) -> Report:
    """What is applied and what is pending; changes nothing but the extension."""
    tier = detect(connection)
    connection.execute(_TABLE)
    done = _applied(connection, tier)
    todo = tuple(f"{m.version:04} {m.name}" for m in available(tier) if m.version not in done)
    return Report(tier, tuple(done.values()), todo)


def _applied(connection: psycopg.Connection[Any], tier: Tier) -> dict[int, str]:
    """Versions in force, after making sure that files and tier are still the same."""
    known = {migration.version: migration for migration in available(tier)}
    done = {}
    for version, name, made_on, digest in connection.execute(_APPLIED).fetchall():
        if made_on != tier:
            raise TierError(
                f"This database was made on the tier {made_on}, the server now offers {tier}.",
                do="Dump the readings, make a new database, and load them: docs/how-to/change-tier.md.",
            )
        if version not in known:
            raise MigrationError(
                f"The database knows migration {version:04} {name}, this program does not.",
                why="The database is newer than the program.",
                do="Install the newer program.",
            )
        if known[version].sha256 != digest:
            raise MigrationError(
                f"Migration {version:04} {name} was changed after it was applied.",
                do="Restore the file; changes belong into a new migration.",
            )
        done[version] = f"{version:04} {name}"
    return done


def _apply(connection: psycopg.Connection[Any], migration: Migration, tier: Tier) -> None:
    try:
        with connection.transaction():
            connection.execute(migration.sql.encode())
            connection.execute(_RECORD, (migration.version, migration.name, tier, migration.sha256))
    except psycopg.Error as error:
        raise MigrationError(
            f"Migration {migration.version:04} {migration.name} failed; nothing of it was kept.",
            why=str(error).strip(),
        ) from error


def _seed(connection: psycopg.Connection[Any]) -> None:
    """Make store.property equal to the catalogue; a property that left the catalogue stays while it is used."""
    from qytet.catalogue import properties

    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_PROPERTY, [row.as_row() for row in properties().values()])


_PROPERTY = """
insert into store.property (property, domain, ucum, fail_min, fail_max, suspect_min, suspect_max, agg, sampling,
                            core, sdm, cf_name, reference)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (property) do update set
    domain = excluded.domain, ucum = excluded.ucum, fail_min = excluded.fail_min, fail_max = excluded.fail_max,
    suspect_min = excluded.suspect_min, suspect_max = excluded.suspect_max, agg = excluded.agg,
    sampling = excluded.sampling, core = excluded.core, sdm = excluded.sdm, cf_name = excluded.cf_name,
    reference = excluded.reference
"""
