"""Counts of what arrives, by device and hour, on each tier: they equal the ledger and the readings themselves."""

import random

import psycopg
import pytest

from qytet_ingest.write import settle, write
from tests.ingest.rig import NOW, Deaf, hist, obs

HOURS = """
select sum(received), sum(late), sum(duplicate), sum(rejected), sum(dropped), sum(readings), sum(suspect), sum(failed)
from qytet.delivery_hour where device = %s
"""
LEDGER = """
select sum(l.received), sum(l.late), sum(l.duplicates), sum(l.rejected), sum(l.dropped), max(o.readings),
       max(o.suspect), max(o.failed)
from qytet.delivery l
join (select device, count(*) as readings, count(*) filter (where quality = 3) as suspect,
             count(*) filter (where quality = 4) as failed from qytet.reading group by device) o using (device)
where device = %s
"""
MISSING = "select missing from qytet.delivery_hour where device = %s order by hour desc limit 1"


def counted(rig):
    """What the hours say; the same as the ledger and the readings themselves."""
    (hours,) = rig.db.execute(HOURS, [rig.device]).fetchall()
    (ledger,) = rig.db.execute(LEDGER, [rig.device]).fetchall()
    assert hours == ledger
    names = ("received", "late", "duplicate", "rejected", "dropped", "readings", "suspect", "failed")
    return dict(zip(names, map(int, hours), strict=True))


def missing(rig):
    return rig.db.execute(MISSING, [rig.device]).fetchone()[0]


def test_each_kind_is_counted_once(rig):
    """Received, late, duplicate, rejected, dropped, readings and their quality of one load are what was sent."""
    rig.store(
        obs(1, NOW, {"pm2_5": 1.0, "no2": None}),
        obs(2, NOW - 90_000, {"pm2_5": 300.001}),  # late, and suspect
        obs(3, NOW + 1, {"pm2_5": 1000.001}),  # beyond what the sensor can say
        obs(3, NOW + 1, {"pm2_5": 1000.001}),
        obs(4, NOW + 2, {"nonsense": 1.0}),
    )
    rig.store(hist([[9, NOW + 3, 1000, "ntp", {"pm2_5": 1.0}]], lo=7))
    assert counted(rig) == {
        "received": 4, "late": 1, "duplicate": 1, "rejected": 1, "dropped": 2, "readings": 5, "suspect": 1, "failed": 1,
    }  # fmt: skip
    assert missing(rig) == 2  # 7 and 8; 5 and 6 the device gave up


def test_what_was_given_up_and_came_after_all_is_taken_back(rig):
    """A record that arrives though its device had dropped it counts as received, and no longer as dropped."""
    rig.store(hist([[4, NOW, 1000, "ntp", {"pm2_5": 1.0}]], lo=4))
    assert counted(rig)["dropped"] == 3
    rig.store(obs(2, NOW - 1, {"pm2_5": 1.0}))
    assert counted(rig) | {"late": 0} == {
        "received": 2, "late": 0, "duplicate": 0, "rejected": 0, "dropped": 2, "readings": 2, "suspect": 0, "failed": 0,
    }  # fmt: skip


def test_the_gap_is_a_level_over_all_boots(rig):
    """`missing` is the gap of all boots of the device as it was last: it grows, and goes when the gap is filled."""
    rig.store(obs(3, NOW, {"pm2_5": 1.0}))
    assert missing(rig) == 2
    rig.store(obs(5, NOW + 1, {"pm2_5": 1.0}, boot="00000002"))
    assert missing(rig) == 6
    rig.store(*(obs(seq, NOW - seq, {"pm2_5": 1.0}) for seq in (1, 2)))
    assert missing(rig) == 4
    rig.store(obs(6, NOW + 2, {"pm2_5": 1.0}, boot="00000002"))  # no gap more, none less
    assert missing(rig) == 4


def test_a_commit_whose_answer_was_lost_is_not_counted_twice(rig):
    """Readings and records of a batch that is written again after its commit are in the hours once."""
    batch = rig.batch(obs(1, NOW, {"pm2_5": 2000.0, "no2": 1.0}), obs(2, NOW + 1, {"pm2_5": 3.0}))
    deaf = Deaf(rig.db)
    with pytest.raises(psycopg.OperationalError):
        write(deaf, batch, rig.registry)
    write(deaf, batch, rig.registry)
    settle(batch)
    rig.restart()
    rig.store(obs(2, NOW + 1, {"pm2_5": 3.0}))
    found = counted(rig)
    assert (found["received"], found["readings"], found["failed"]) == (2, 3, 1)


def test_collisions_are_rejected_and_no_readings(rig):
    """A record whose instant is taken counts as rejected too; the reading that it would have been is not counted."""
    rig.store(obs(1, NOW, {"pm2_5": 1.0}))
    rig.store(obs(2, NOW, {"pm2_5": 2.0, "no2": 5.0}))
    found = counted(rig)
    assert (found["received"], found["rejected"], found["readings"]) == (2, 1, 2)


def test_readings_without_time_count_when_they_are_dated(rig):
    """A record that waits for its time is received at once; its readings count, with their quality, when stored."""
    rig.store(obs(1, None, {"pm2_5": 300.001, "no2": 1.0}, up=500))
    assert rig.db.execute(HOURS, [rig.device]).fetchone()[0] == 1
    assert rig.db.execute(HOURS, [rig.device]).fetchone()[5] == 0
    rig.store(obs(2, NOW, {"pm2_5": 1.0}, up=1000))
    found = counted(rig)
    assert (found["received"], found["readings"], found["suspect"]) == (2, 3, 1)


def test_any_load_adds_up(rig):
    """Over a random load of live, late, repeated, broken and undated records in random batches, sums agree."""
    luck = random.Random(7)
    for _ in range(15):
        messages = []
        for _ in range(luck.randrange(1, 12)):
            seq, boot = luck.randrange(1, 60), luck.choice(["00000001", "00000002"])
            t = luck.choice([None, NOW + seq, NOW - 100_000 + seq, NOW])
            key = luck.choice(["pm2_5", "no2", "nonsense"])
            value = luck.choice([1.0, None, 301.0, 5000.0])
            if t is None or luck.random() < 0.7:
                messages.append(obs(seq, t, {key: value}, boot=boot, up=1000 + seq))
            else:
                row = [seq, t, 1000 + seq, "ntp", {key: value}]
                messages.append(
                    hist([row, [0, *row[1:]]] if luck.random() < 0.3 else [row], lo=seq, boot=boot)
                )
        rig.store(*messages)
        if luck.random() < 0.3:
            rig.restart()
        found = counted(rig)
        assert missing(rig) == sum(
            row[0]
            for row in rig.db.execute("select missing from qytet.delivery where device = %s", [rig.device])
        )
    assert (
        min(found["received"], found["duplicate"], found["rejected"], found["suspect"], found["failed"]) > 0
    )
