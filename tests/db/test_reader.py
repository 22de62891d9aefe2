"""What readers see: the same views on every tier, and nothing but views."""

from pathlib import Path

import psycopg
import pytest
from psycopg import sql

COLUMNS = """
select table_name, column_name, data_type from information_schema.columns
where table_schema = 'qytet' order by table_name, ordinal_position
"""
TABLES = "select table_name from information_schema.tables where table_schema = 'store' and table_type = 'BASE TABLE'"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reference" / "database.md"


def as_reader(db, statement):
    with db.transaction():
        db.execute("set local role qytet_read")
        return db.execute(statement).fetchall()


def documented():
    """The columns as docs/reference/database.md lists them: rows of view, column and type."""
    view, found = "", []
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("### `qytet."):
            view = line.split("`")[1].removeprefix("qytet.")
        elif view and line.startswith("| `"):
            column, kind = [cell.strip(" `") for cell in line.strip("|").split("|")]
            found.append((view, column, kind))
    return found


def test_views_are_as_documented_on_every_tier(db):
    """Names, order and types of all views' columns are those of the reference page, whatever the tier."""
    assert db.execute(COLUMNS).fetchall() == documented()


def test_a_reader_may_read_every_view(db, place):
    """The role qytet_read can select from each view, and the views' functions work for it."""
    db.execute(
        "insert into store.delivery (device_id, boot, received) values (%s, '9f3a01c2', '{[2,5)}')",
        (place.device_id,),
    )
    views = {view for view, _, _ in documented()}
    for view in sorted(views):
        as_reader(db, sql.SQL("select * from qytet.{} limit 1").format(sql.Identifier(view)))
    rows = as_reader(db, "select stored_mark, missing from qytet.delivery where missing = 1")
    assert (0, 1) in rows


def test_a_reader_sees_no_table(db):
    """The role qytet_read can neither read nor write any table of the store."""
    tables = [name for (name,) in db.execute(TABLES).fetchall()]
    assert {"observation", "device", "dead_letter"} <= set(tables)
    for name in tables:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_reader(db, sql.SQL("select 1 from store.{} limit 1").format(sql.Identifier(name)))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_reader(db, "delete from store.dead_letter returning 1")


def test_a_reader_cannot_write_through_a_view(db):
    """Simple views could be written through in PostgreSQL; the role has no right to."""
    for statement in (
        "delete from qytet.dead_letter returning 1",
        "update qytet.observation set value = 0 returning 1",
        "insert into qytet.city values ('x', 'x', 'UTC', 0, 0) returning 1",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_reader(db, statement)
