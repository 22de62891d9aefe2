"""Records made before the clock was set wait, durably, and are dated once by the first anchor of their boot."""

import psycopg
import pytest

from qytet_ingest.write import settle, write
from tests.ingest.rig import NOW, Deaf, hist, obs

MIXED = {"pm2_5": 12, "no2": 1.5, "vehicle_count:lane2": None}
"""A whole number, a fraction and null: each of another type."""


def test_they_are_dated_by_a_later_record(rig):
    """`t` minus `up` of a dated record says when the boot began; the values arrive unchanged, as backdated."""
    rig.store(obs(1, None, MIXED, up=1000), obs(2, None, {"pm2_5": 10**300}, up=2000))
    assert rig.undated() == [1, 2]
    assert rig.rows() == []
    assert rig.boot().mark() == 2
    rig.store(obs(3, NOW, {"no2": 2.0}, up=5000))
    assert rig.undated() == []
    assert rig.rows() == [
        ("no2", -4000, 1.5, 1, 5),
        ("pm2_5", -4000, 12.0, 1, 5),
        ("vehicle_count:lane2", -4000, None, 9, 5),
        ("pm2_5", -3000, 1e300, 4, 5),
        ("no2", 0, 2.0, 1, 2),
    ]
    assert rig.letters() == []


@pytest.mark.parametrize("backfill", [False, True])
def test_uptime_0_is_no_anchor(rig, backfill):
    """A dated record with uptime 0 (a file's row from before the boot) is stored, and says nothing of its boot."""

    def old(seq):
        m = {"no2": 1.0}
        return hist([[seq, NOW - 500 * seq, 0, "rtc", m]]) if backfill else obs(seq, NOW - 500 * seq, m, up=0)

    rig.store(obs(1, None, {"pm2_5": 1.0}, up=100), old(2))
    assert rig.undated() == [1]
    rig.restart()
    rig.store(obs(3, NOW, {"pm2_5": 3.0}, up=200), old(4))
    rig.store(obs(5, None, {"pm2_5": 5.0}, up=300))
    assert rig.undated() == []
    assert [(key, at) for key, at, *_ in rig.rows() if key == "pm2_5"] == [
        ("pm2_5", n) for n in (-100, 0, 100)
    ]


def test_a_restart_between_them_and_their_anchor(rig):
    """A new process knows from the database that records wait, and dates them by what it receives."""
    rig.store(obs(1, None, MIXED))
    rig.restart()
    rig.store(hist([[2, NOW, 2000, "gnss", {"no2": 2.0}]]))
    assert rig.undated() == []
    assert len(rig.rows()) == 4


def test_the_anchor_may_come_in_the_same_batch_or_before(rig):
    """Before, within or after: each record is dated, and after a restart the ledger remembers the anchor."""
    rig.store(obs(1, None, {"pm2_5": 1.0}, up=1), obs(2, NOW, {"pm2_5": 2.0}, up=2))
    rig.store(obs(3, None, {"pm2_5": 3.0}, up=3))
    rig.restart()
    rig.store(obs(4, None, {"pm2_5": 4.0}, up=4))
    assert rig.rows() == [("pm2_5", n, n + 2.0, 1, 2 if n == 0 else 5) for n in (-1, 0, 1, 2)]


def test_without_an_anchor_they_stay_visible(rig):
    """A boot that never learns the time keeps its records in view; another boot's anchor is none of theirs."""
    rig.store(obs(1, None, {"pm2_5": 1.0}), obs(1, NOW, {"no2": 1.0}, boot="00000001"))
    assert rig.undated() == [1]
    assert rig.ledger()["received"] == 1
    rig.store(obs(1, None, {"pm2_5": 1.0}))
    assert rig.undated() == [1]
    assert rig.ledger()["duplicates"] == 1


def test_a_commit_whose_answer_was_lost_dates_them_once(rig):
    """Dated and committed, but the answer was lost: the second attempt neither keeps them again nor collides."""
    batch = rig.batch(obs(1, None, {"pm2_5": 1.0}, up=1), obs(2, NOW, {"pm2_5": 2.0}, up=2))
    deaf = Deaf(rig.db)
    with pytest.raises(psycopg.OperationalError):
        write(deaf, batch, rig.registry)
    write(deaf, batch, rig.registry)
    settle(batch)
    assert rig.values() == [("pm2_5", -1, 1.0), ("pm2_5", 0, 2.0)]
    assert rig.undated() == []
    assert rig.letters() == []


def test_what_collides_when_dated_is_a_dead_letter(rig):
    """If another record holds the instant that was found, the first stands and the other is kept with its reason."""
    rig.store(obs(1, None, {"pm2_5": 1.0, "no2": 7.0}, up=1))
    rig.store(obs(1, NOW - 1, {"pm2_5": 5.0}, boot="00000001"))
    rig.store(obs(2, NOW, {"pm2_5": 2.0}, up=2))
    assert rig.values() == [("no2", -1, 7.0), ("pm2_5", -1, 5.0), ("pm2_5", 0, 2.0)]
    assert rig.reasons() == ["collision"]
    assert rig.undated() == []


@pytest.mark.parametrize("up", [9_007_199_254_740_991, 400_000_000_000])
def test_impossible_uptimes_store_nothing_impossible(rig, up):
    """Dated far ahead of its own arrival a record stays undated; dated before this century it is a dead letter."""
    rig.store(obs(1, None, {"pm2_5": 1.0}, up=up))
    rig.store(obs(2, NOW, {"pm2_5": 2.0}, up=1))
    assert rig.undated() == [1]
    rig.store(obs(1, NOW - 1, {"no2": 1.0}, up=up, boot="00000001"))
    rig.store(obs(2, None, {"no2": 2.0}, up=1, boot="00000001"))
    assert rig.values() == [("no2", -1, 1.0), ("pm2_5", 0, 2.0)]
    assert len(rig.reasons()) == 1
    assert rig.reasons()[0] in ("time_too_early", "not_valid_then")


def test_a_value_that_is_refused_stays_undated(plain_rig):
    """PostgreSQL refuses a value of a waiting record: it goes on waiting, and the batch that dates it is stored."""
    rig = plain_rig
    rig.store(obs(1, None, {"pm2_5": 667.0}, up=1), obs(2, None, {"pm2_5": 3.0}, up=2))
    rig.db.execute("alter table store.observation add constraint poison check (value is distinct from 667)")
    try:
        rig.store(obs(3, NOW, {"pm2_5": 1.0}, up=3))
    finally:
        rig.db.execute("alter table store.observation drop constraint poison")
    assert rig.values() == [("pm2_5", -1, 3.0), ("pm2_5", 0, 1.0)]
    assert rig.undated() == [1]


def test_an_unknown_datastream_is_refused_at_once(rig):
    """What could never be dated does not wait."""
    rig.store(obs(1, None, {"pm4": 1.0}))
    assert rig.undated() == []
    assert rig.reasons() == ["unknown_datastream"]
    assert rig.boot().mark() == 1
