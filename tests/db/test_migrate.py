"""Migrations on every tier: from nothing, from every earlier version, repeated, at once, and refused."""

import threading

import pytest

from qytet.catalogue import properties
from qytet.db import migrate as migrations
from qytet.db.errors import MigrationError, TierError
from qytet.db.migrate import available, connect, migrate, status
from qytet.db.tiers import Tier
from tests.db.support import AGGREGATES

VERSIONS = [migration.version for migration in available(Tier.PLAIN)]

# Data that each version can hold, and what must still be there at the end.
ROWS = {
    1: """
insert into store.property values ('old_gas', 'air_quality', 'ug/m3', 0, 9, 0, 8, 'mean', '', false, '', '', '');
insert into store.city (slug, name, time_zone, lat, lon) values ('korce', 'Korçë', 'Europe/Tirane', 40.6, 20.8);
insert into store.site (city_id, slug, name, lat, lon) select city_id, 's', 'S', 40.6, 20.8 from store.city;
insert into store.device (name, site_id, profile) select 'd', site_id, 'air' from store.site;
insert into store.datastream (device_id, property, valid)
select device_id, 'old_gas', tstzrange('2024-01-01T00:00Z', null) from store.device;
""",
    2: """
insert into store.observation (phenomenon_time, value, datastream_id, quality, time_quality)
select timestamptz '2026-03-01T00:00Z' + n * interval '1 hour', n, datastream_id, 1, 2
from store.datastream, generate_series(0, 99) n;
""",
    3: """
insert into store.delivery (device_id, boot, received) select device_id, '9f3a01c2', '{[1,101)}' from store.device;
insert into store.dead_letter (digest, topic, payload, reason) values ('\\x01', 't', '\\x00ff', 'not_json');
insert into store.latest select datastream_id, max(phenomenon_time), 99, 1, 2 from store.observation group by 1;
""",
}


def test_from_empty(empty_url, tier):
    """An empty database gets every migration, once, and the catalogue's properties."""
    with connect(empty_url) as db:
        report = migrate(db)
        assert report.tier == tier
        assert [int(name[:4]) for name in report.pending] == VERSIONS
        assert db.execute("select count(*) from qytet.property").fetchone() == (len(properties()),)


@pytest.mark.parametrize("first", VERSIONS)
def test_from_every_earlier_version_with_data(empty_url, tier, first):
    """Data stored under any earlier version is there, and in the views, after migrating to the newest."""
    with connect(empty_url) as db:
        assert len(migrate(db, upto=first).pending) == first
        for version in range(1, 4):
            migrate(db, upto=max(version, first))
            db.execute(ROWS[version])
        report = migrate(db)
        assert [int(name[:4]) for name in report.pending] == [v for v in VERSIONS if v > max(first, 3)]
        assert db.execute("select count(*), sum(value) from qytet.reading where device = 'd'").fetchone() == (
            100,
            4950,
        )
        assert db.execute("select received, missing from qytet.delivery").fetchall() == [(100, 0)]
        assert db.execute("select payload, reason from qytet.dead_letter").fetchall() == [
            (b"\x00\xff", "not_json")
        ]
        assert db.execute("select value from qytet.latest").fetchall() == [(99,)]
        for (total,) in [
            db.execute("select sum(total) from qytet.observation_15min").fetchone(),
            db.execute("select sum(total) from qytet.observation_hour").fetchone(),
            db.execute("select sum(total) from qytet.observation_day").fetchone(),
        ]:
            assert total == 100


def test_repeating_changes_nothing(empty_url):
    """A second migrate applies nothing and keeps what is there."""
    with connect(empty_url) as db:
        migrate(db)
        before = db.execute("select * from public.qytet_migration order by version").fetchall()
        assert migrate(db).pending == ()
        assert db.execute("select * from public.qytet_migration order by version").fetchall() == before
        assert status(db).pending == ()


def test_properties_follow_the_catalogue(empty_url):
    """A property that was changed in the database is as in the catalogue after the next migrate."""
    with connect(empty_url) as db:
        migrate(db)
        db.execute("update store.property set ucum = 'wrong', fail_max = 1")
        migrate(db)
        rows = db.execute("select property, ucum, fail_max from qytet.property").fetchall()
        assert {(name, known.ucum, known.fail_max) for name, known in properties().items()} == set(rows)


def test_four_at_once(empty_url, tier):
    """Programs that migrate at the same moment all succeed, and each migration is applied once."""
    if tier == "community":
        pytest.skip("PGlite has one backend for all connections: an advisory lock excludes nobody there")
    reports, errors = [], []

    def work():
        try:
            with connect(empty_url) as db:
                reports.append(migrate(db))
        except Exception as error:  # noqa: BLE001  shown below
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(len(report.pending) for report in reports) == [0, 0, 0, len(VERSIONS)]


def test_a_changed_file_is_refused(empty_url):
    """A migration whose text differs from what was applied stops everything, and says which one."""
    with connect(empty_url) as db:
        migrate(db)
        db.execute("update public.qytet_migration set sha256 = 'other' where version = 2")
        with pytest.raises(MigrationError, match="0002 observation was changed"):
            migrate(db)
        with pytest.raises(MigrationError, match="0002"):
            status(db)


def test_a_newer_database_is_refused(empty_url, tier):
    """An older program leaves a newer database alone."""
    with connect(empty_url) as db:
        migrate(db)
        db.execute(
            "insert into public.qytet_migration (version, name, tier, sha256) values (9999, 'x', %s, '')",
            (tier,),
        )
        with pytest.raises(MigrationError, match="9999") as caught:
            migrate(db)
        assert "newer program" in caught.value.do


def test_another_tier_is_refused(empty_url, tier):
    """A database that was made on one tier is not migrated on another."""
    with connect(empty_url) as db:
        migrate(db)
        other = "plain" if tier != "plain" else "community"
        db.execute("update public.qytet_migration set tier = %s", (other,))
        with pytest.raises(TierError, match=f"made on the tier {other}"):
            migrate(db)


def test_a_failed_migration_leaves_nothing(empty_url, tier, monkeypatch):
    """A migration that fails half-way is rolled back whole; the ones before it stay."""
    files = available(Tier(tier))
    broken = migrations.Migration(9000, "broken", "create table store.half (n int); select 1 / 0;")
    monkeypatch.setattr(migrations, "available", lambda _tier: [*files, broken])
    with connect(empty_url) as db:
        with pytest.raises(MigrationError, match="9000 broken failed"):
            migrate(db)
        assert db.execute("select to_regclass('store.half')").fetchone() == (None,)
        assert db.execute("select max(version) from public.qytet_migration").fetchone() == (VERSIONS[-1],)
        assert all(
            db.execute("select to_regclass(%s)", (f"qytet.{name}",)).fetchone()[0] for name in AGGREGATES
        )
