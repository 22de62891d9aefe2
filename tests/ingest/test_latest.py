"""The table of latest values: the newest of each datastream by its own time, whatever order they came in."""

import numpy as np

from qytet_ingest.latest import Latest
from tests.ingest.rig import NOW, hist, obs

_LATEST = """
select key, (extract(epoch from phenomenon_time) * 1000)::bigint - %s, value, quality, time_quality
from qytet.latest where device = %s order by key
"""


def latest(rig):
    return rig.db.execute(_LATEST, [NOW, rig.device]).fetchall()


def test_the_newest_by_its_own_time_stands(rig):
    """Out of order, from a backfill, in one batch or over several: the newest instant wins, null and quality too."""
    table = Latest()
    table.add(rig.store(obs(1, NOW, {"pm2_5": 1.0, "no2": 1.0}), obs(2, NOW + 2, {"pm2_5": 2.0})))
    assert latest(rig) == []
    assert table.flush(rig.db) == 2
    assert latest(rig) == [("no2", 0, 1.0, 1, 2), ("pm2_5", 2, 2.0, 1, 2)]
    table.add(rig.store(hist([[3, NOW + 1, 9, "ntp", {"pm2_5": 3.0}], [4, NOW - 9, 9, "ntp", {"no2": 4.0}]])))
    assert table.flush(rig.db) == 0
    table.add(rig.store(obs(6, NOW + 9, {"no2": None}, tq="rtc"), obs(5, NOW + 8, {"no2": 5.0})))
    assert table.flush(rig.db) == 1
    assert latest(rig) == [("no2", 9, None, 9, 1), ("pm2_5", 2, 2.0, 1, 2)]
    assert table.flush(rig.db) == 0


def test_a_new_process_does_not_go_back(rig):
    """After a restart, an older reading does not replace the newer one that the table holds."""
    first, second = Latest(), Latest()
    first.add(rig.store(obs(1, NOW, {"pm2_5": 1.0})))
    first.flush(rig.db)
    second.add(rig.store(obs(2, NOW - 1, {"pm2_5": 2.0})))
    second.flush(rig.db)
    assert latest(rig) == [("pm2_5", 0, 1.0, 1, 2)]


def test_nothing_is_nothing(rig):
    """An empty batch leaves the table as it is."""
    table = Latest()
    table.add(rig.store(b"{"))
    assert table.flush(rig.db) == 0
    assert len(np.flatnonzero(table._dirty)) == 0
