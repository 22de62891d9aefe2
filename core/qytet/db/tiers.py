"""The three tiers of storage, told apart by what the server offers; above the database nobody asks."""

import contextlib
from enum import StrEnum
from typing import Any

import psycopg

__all__ = ["Tier", "detect"]


class Tier(StrEnum):
    """What the server offers for readings."""

    PLAIN = "plain"
    TIMESCALE = "timescale"
    COMMUNITY = "community"


_OFFERED = "select 1 from pg_available_extensions where name = 'timescaledb'"
_PRELOADED = "select current_setting('shared_preload_libraries') like '%timescaledb%'"
_INSTALLED = "select 1 from pg_extension where extname = 'timescaledb'"
_LICENSE = "select current_setting('timescaledb.license', true)"


def detect(connection: psycopg.Connection[Any]) -> Tier:
    """The tier that this server offers; creates the extension where it is offered.

    Needs an autocommit connection that has done nothing else yet. The licence decides, not the
    extension's presence: Debian's package is the Apache-2 edition, without continuous aggregates.
    """
    if connection.execute(_INSTALLED).fetchone() is None:
        if connection.execute(_OFFERED).fetchone() is None or not _preloaded(connection):
            return Tier.PLAIN
        # `if not exists` is no help against another program that creates it at this moment.
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            connection.execute("create extension if not exists timescaledb")
    row = connection.execute(_LICENSE).fetchone()
    return Tier.COMMUNITY if row and row[0] == "timescale" else Tier.TIMESCALE


def _preloaded(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(_PRELOADED).fetchone()
    return bool(row and row[0])
