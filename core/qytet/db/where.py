"""Which database a command talks to: the one in the settings, else the embedded one while it runs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from qytet import settings
from qytet.db.errors import DatabaseError
from qytet.db.migrate import connect
from qytet.embedded.ports import LOOPBACK, is_free
from qytet.errors import InputError

__all__ = ["database_url", "embedded_url", "session"]

_SUPERUSER = "postgres"


def database_url() -> str:
    """The libpq URL in force, with its password: never log it. Raises DatabaseError if there is none."""
    known = settings.load()
    return known.database.url.get_secret_value() or embedded_url(known.data_dir / "postgres")


def embedded_url(folder: Path, database: str = "qytet") -> str:
    """The URL of the embedded server that runs on the data folder `folder`. Raises DatabaseError."""
    try:
        port = int((folder / "port").read_text(encoding="ascii"))
        password = (folder / "password").read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise DatabaseError(
            "There is no database to talk to.",
            why=f"[database] url is empty, and {folder} holds no embedded PostgreSQL ({error}).",
            do="Set [database] url (or QYTET_DATABASE__URL), or start the embedded one: `make demo`.",
        ) from error
    if is_free(port):
        raise DatabaseError(
            "The embedded PostgreSQL does not run.",
            why=f"[database] url is empty, and nobody listens on port {port} that {folder} remembers.",
            do="Start it (`make demo`), or set [database] url (or QYTET_DATABASE__URL).",
        )
    return (
        f"postgresql://{_SUPERUSER}:{quote(password, safe='')}@{LOOPBACK}:{port}/{quote(database, safe='')}"
    )


@contextlib.contextmanager
def session() -> Iterator[psycopg.Connection[Any]]:
    """An autocommit connection for one command; what PostgreSQL refuses is told as people read it."""
    with connect(database_url()) as connection:
        try:
            yield connection
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable) as error:
            raise DatabaseError(
                "The database lacks the platform's tables.",
                why=str(error).splitlines()[0],
                do="Run `qytet db migrate`.",
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseError(
                "The database's role may not do that.",
                why=str(error).splitlines()[0],
                do="Give the owner's URL as [database] url; `qytet deploy roles` makes that role.",
            ) from error
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise InputError("The database refused a value.", why=str(error).strip()) from error
        except psycopg.OperationalError as error:
            raise DatabaseError("The database went away.", why=str(error).strip()) from error
