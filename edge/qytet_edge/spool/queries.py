"""The SQL of the spool: its tables, and every statement that touches them."""

APPLICATION = 0x71797465
"""PRAGMA application_id: "qyte"; says that the file is one of ours."""
VERSION = 1
"""PRAGMA user_version: the form of the tables."""

PRAGMAS = (
    "PRAGMA page_size = 4096",
    # One process, one connection: no shared memory file, and a second gateway is refused.
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    # Debian builds SQLite so that it overwrites what is deleted: flash would wear out for nothing.
    "PRAGMA secure_delete = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -2000",
    # The log is copied into the database once it has 8 MiB: a page written again and again is copied once.
    "PRAGMA wal_autocheckpoint = 2048",
    # After one huge transaction the log shrinks to this again, but not to nothing: its blocks on the disk are
    # room in which marks can be written even when the disk is full.
    "PRAGMA journal_size_limit = 16777216",
)
TRUNCATE_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"
COPY_LOG = "PRAGMA wal_checkpoint(PASSIVE)"
QUICK_CHECK = "PRAGMA quick_check(1)"
TABLES = "SELECT count(*) FROM sqlite_schema"
MADE_BY = "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version"

# intake: arrival order, small, mirrored in memory; record: sorted by numbering. `kept_s` is the gateway's running
# time in seconds, `tq` the number of codes.TIME_QUALITIES, `settled` how many rows `record` has of that boot.
SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE boot (
    id INTEGER PRIMARY KEY, device TEXT NOT NULL, boot TEXT NOT NULL, own INTEGER NOT NULL,
    next_seq INTEGER NOT NULL, mark INTEGER NOT NULL, lo INTEGER NOT NULL, dropped INTEGER NOT NULL,
    settled INTEGER NOT NULL, sum INTEGER NOT NULL, UNIQUE (device, boot)
);
CREATE TABLE intake (
    id INTEGER PRIMARY KEY, boot_id INTEGER NOT NULL, seq INTEGER NOT NULL, t INTEGER, up INTEGER NOT NULL,
    tq INTEGER NOT NULL, kept_s INTEGER NOT NULL, m BLOB NOT NULL, sum INTEGER NOT NULL
);
CREATE TABLE record (
    boot_id INTEGER NOT NULL, seq INTEGER NOT NULL, t INTEGER, up INTEGER NOT NULL,
    tq INTEGER NOT NULL, kept_s INTEGER NOT NULL, m BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (boot_id, seq)
) WITHOUT ROWID;
CREATE TABLE checkpoint (source TEXT PRIMARY KEY, state BLOB NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE notice (
    id INTEGER PRIMARY KEY, device TEXT NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL, retain INTEGER NOT NULL,
    sum INTEGER NOT NULL
);
CREATE UNIQUE INDEX retained ON notice (device, kind) WHERE retain;
PRAGMA application_id = 0x71797465;
PRAGMA user_version = 1;
COMMIT;
"""

BEGIN = "BEGIN IMMEDIATE"
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"

PAGES = "PRAGMA page_count"
FREE_PAGES = "PRAGMA freelist_count"

META = "SELECT key, value FROM meta"
SAVE_META = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2"

BOOTS = "SELECT id, device, boot, own, next_seq, mark, lo, dropped, settled, sum FROM boot ORDER BY id"
SAVE_BOOT = """
INSERT INTO boot VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (id) DO UPDATE SET next_seq = ?5, mark = ?6, lo = ?7, dropped = ?8, settled = ?9, sum = ?10
"""
FORGET_BOOT = "DELETE FROM boot WHERE id = ?1"

INTAKE = "SELECT boot_id, seq, t, up, tq, kept_s, m, sum FROM intake ORDER BY id"
KEEP = "INSERT INTO intake (boot_id, seq, t, up, tq, kept_s, m, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
CLEAR_INTAKE = "DELETE FROM intake"
SETTLE = """
INSERT OR IGNORE INTO record
SELECT i.boot_id, i.seq, i.t, i.up, i.tq, i.kept_s, i.m, i.sum FROM intake i JOIN boot b ON b.id = i.boot_id
WHERE i.seq > b.mark ORDER BY i.boot_id, i.seq
"""

READ = (
    "SELECT seq, t, up, tq, kept_s, m, sum FROM record WHERE boot_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"
)
ONE = "SELECT seq, t, up, tq, kept_s, m, sum FROM record WHERE boot_id = ?1 AND seq = ?2"
LOWEST = "SELECT seq, kept_s FROM record WHERE boot_id = ?1 AND seq > ?2 ORDER BY seq LIMIT 1"
# Two seeks: min() and max() in one SELECT would read all rows of the boot.
SPAN = """
SELECT (SELECT min(seq) FROM record WHERE boot_id = ?1), (SELECT max(seq) FROM record WHERE boot_id = ?1)
"""
# The lowest ?2 rows of a boot, none of them above ?3.
DELETE_LOWEST = """
DELETE FROM record WHERE boot_id = ?1 AND seq <= (
    SELECT max(seq) FROM (SELECT seq FROM record WHERE boot_id = ?1 AND seq <= ?3 ORDER BY seq LIMIT ?2))
"""
# Of the lowest ?2 rows of a boot the highest that was kept before second ?3.
EXPIRED = """
SELECT max(seq) FROM (SELECT seq, kept_s FROM record WHERE boot_id = ?1 ORDER BY seq LIMIT ?2) WHERE kept_s < ?3
"""

CHECKPOINT = "SELECT source, state, sum FROM checkpoint WHERE source = ?1"
CHECKPOINTS = "SELECT source, state, sum FROM checkpoint"
SAVE_CHECKPOINT = """
INSERT INTO checkpoint VALUES (?1, ?2, ?3) ON CONFLICT (source) DO UPDATE SET state = ?2, sum = ?3
"""

NOTICES = "SELECT id, device, kind, payload, retain, sum FROM notice WHERE id > ?1 ORDER BY id LIMIT ?2"
COUNT_NOTICES = "SELECT count(*), max(id) FROM notice"
REPLACE_RETAINED = "DELETE FROM notice WHERE device = ?1 AND kind = ?2 AND retain"
SAVE_NOTICE = "INSERT INTO notice VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
NOTICED = "DELETE FROM notice WHERE id = ?1"
DROP_NOTICES = "DELETE FROM notice WHERE id IN (SELECT id FROM notice WHERE NOT retain ORDER BY id LIMIT ?1)"
# The oldest of those above ?1 bytes, as far as all of them have more than ?2 bytes together.
DROP_LONG = """
DELETE FROM notice WHERE id IN (
    SELECT id FROM (
        SELECT id, sum(length(payload)) OVER (ORDER BY id DESC) AS total
        FROM notice WHERE NOT retain AND length(payload) > ?1)
    WHERE total > ?2)
"""

DESCEND = """
SELECT seq, t, up, tq, kept_s, m, sum FROM record WHERE boot_id = ?1 AND seq > ?2 AND seq <= ?3
ORDER BY seq DESC LIMIT 1
"""
ALL_NOTICES = "SELECT id, device, kind, payload, retain, sum FROM notice ORDER BY id"
RESTORE_CHECKPOINT = "INSERT OR IGNORE INTO checkpoint VALUES (?1, ?2, ?3)"
RESTORE_NOTICE = "INSERT OR IGNORE INTO notice VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
RESTORE = "INSERT OR IGNORE INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
RECOUNT = "SELECT count(*), max(seq) FROM record WHERE boot_id = ?1"
