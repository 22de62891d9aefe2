"""Alerts over two small cities: none where all is well, exactly one for one outage, grace where there is no fault."""

from collections.abc import Iterator

import pytest

from qytet.db.migrate import connect, migrate
from tests.dashboards import small_city
from tests.dashboards.small_city import ALONE, BEHIND, GATEWAY, LAMPS, TANK, SmallCity
from tests.servers.database import fresh_database

ALL = (GATEWAY, *BEHIND, *ALONE, LAMPS)


@pytest.fixture(scope="module")
def cities(postgres_server) -> Iterator[SmallCity]:  # type: ignore[no-untyped-def]
    """The two cities, built once."""
    with fresh_database(postgres_server) as url, connect(url) as db:
        migrate(db)
        yield small_city.build(db)


@pytest.fixture
def city(cities: SmallCity) -> Iterator[SmallCity]:
    """The two cities; what a test changes is taken back."""
    with cities.db.transaction(force_rollback=True):
        yield cities


def test_all_is_well(city: SmallCity) -> None:
    """Where nothing is wrong nothing fires."""
    assert city.fired() == {}


def test_nothing_is_registered(postgres_url: str) -> None:
    """On the first morning, with an empty database, no rule fires and each can be asked."""
    with connect(postgres_url) as db:
        migrate(db)
        assert SmallCity(db).fired() == {}


def test_a_silent_device_is_one_alert(city: SmallCity) -> None:
    """One device that fell silent fires one rule, once, and is named with its city."""
    city.silence(1, ALONE[0])
    (labels,) = city.fired().pop("device-silent")
    assert (labels["city"], labels["device"], labels["outage"]) == ("tirana", ALONE[0], f"device {ALONE[0]}")
    assert list(city.fired()) == ["device-silent"]


def test_a_gateway_hides_what_is_behind_it(city: SmallCity) -> None:
    """A silent gateway with two devices behind it is one alert, the gateway's."""
    city.silence(1, GATEWAY, *BEHIND)
    fired = city.fired()
    assert list(fired) == ["gateway-silent"]
    assert [labels["gateway"] for labels in fired["gateway-silent"]] == [GATEWAY]


def test_a_city_hides_all_that_is_in_it(city: SmallCity) -> None:
    """A silent city is one alert; the other city has none."""
    city.silence(1, *ALL)
    fired = city.fired()
    assert list(fired) == ["city-silent"]
    assert [labels["city"] for labels in fired["city-silent"]] == ["tirana"]


def test_two_outages_are_two_alerts(city: SmallCity) -> None:
    """A gateway and a device elsewhere in its city are told apart."""
    city.silence(1, GATEWAY, *BEHIND, ALONE[2])
    assert {uid: len(subjects) for uid, subjects in city.fired().items()} == {
        "device-silent": 1,
        "gateway-silent": 1,
    }


_AN_HOUR_AGO = "delete from store.ingest_minute where minute > now() - interval '1 hour'"


def test_nothing_stored_is_one_alert(city: SmallCity) -> None:
    """If nothing is stored at all, neither devices nor cities nor rollups are to blame: one alert."""
    city.db.execute(_AN_HOUR_AGO)
    city.silence(1, *ALL, TANK, "durres-air-01")
    city.db.execute("update store.rollup_state set until = date_trunc('hour', now() - interval '3 hours')")
    fired = city.fired()
    assert list(fired) == ["ingest-stopped"]
    assert len(fired["ingest-stopped"]) == 1


def test_a_long_stop_is_still_one(city: SmallCity) -> None:
    """A stop of two days, with no figure of the last day left to compare with, still fires alone."""
    city.db.execute(_AN_HOUR_AGO)
    city.db.execute(
        "update store.ingest_minute set minute = minute - interval '2 days', "
        "last_commit = last_commit - interval '2 days'"
    )
    city.silence(48, *ALL)
    assert list(city.fired()) == ["ingest-stopped"]


def test_a_quiet_city_is_no_outage(city: SmallCity) -> None:
    """A pilot whose few devices speak by the quarter is not taken for one whose ingest has stopped."""
    city.db.execute("update store.ingest_minute set batches = 0, last_commit = null")
    city.db.execute(
        "update store.ingest_minute set batches = 1, last_commit = minute "
        "where minute < now() - interval '12 minutes' and extract(minute from minute)::integer % 7 = 0"
    )
    assert city.fired() == {}


def test_a_database_that_never_stored_is_not_an_outage(city: SmallCity) -> None:
    """Before the first batch ever there is nothing that stopped."""
    city.db.execute("delete from store.ingest_minute")
    assert "ingest-stopped" not in city.fired()


@pytest.mark.parametrize(
    ("change", "uid"),
    [
        ("update store.ingest_minute set lag_ms = batches * 45000", "ingest-lag"),
        ("update store.ingest_minute set disk_used = 0.86", "disk-full"),
        (
            "update store.rollup_state set until = date_trunc('hour', now() - interval '3 hours')",
            "rollups-behind",
        ),
    ],
)
def test_limits_of_the_platform(city: SmallCity, change: str, uid: str) -> None:
    """A lag over 30 s, a disk over 85 %, rollups over two hours behind fire their rule, each alone."""
    city.db.execute(change.encode())
    assert list(city.fired("platform", "fleet")) == [uid]


@pytest.mark.parametrize(
    "change",
    [
        "update store.ingest_minute set lag_ms = batches * 25000",
        "update store.ingest_minute set disk_used = 0.84",
        "update store.ingest_minute set disk_used = null, lag_ms = 0, batches = 0",
        "update store.rollup_state set until = date_trunc('hour', now() - interval '10 minutes')",
    ],
)
def test_short_of_the_limits(city: SmallCity, change: str) -> None:
    """What is near a limit, or what ingest could not tell, fires nothing."""
    city.db.execute(change.encode())
    assert city.fired("platform", "fleet") == {}


_LETTERS = """
insert into store.dead_letter (digest, first_seen, topic, payload, reason, device)
select sha256((n::text || %(when)s || %(device)s)::bytea), now() - %(when)s::interval, 'x', 'x', 'bad_seq', %(device)s
from generate_series(1, %(count)s) n
"""


def letters(city: SmallCity, count: int, when: str = "1 minute", device: str = ALONE[0]) -> None:
    """So many new dead letters, so long ago."""
    city.db.execute(_LETTERS, {"count": count, "when": when, "device": device})


def test_a_flood_of_dead_letters_is_named_by_city(city: SmallCity) -> None:
    """Many letters at once fire for the city of their device; a stranger's city is unknown."""
    letters(city, 60)
    letters(city, 60, device="nobody-01")
    assert [labels["city"] for labels in city.fired("platform", "fleet")["dead-letters"]] == [
        "tirana",
        "unknown",
    ]


def test_a_few_dead_letters_are_no_alert(city: SmallCity) -> None:
    """Twenty letters are a list to look at, and as many as every day are usual."""
    letters(city, 20)
    assert city.fired("platform", "fleet") == {}
    for day in range(2, 7):
        letters(city, 600, f"{day} days")
    letters(city, 55, "2 minutes")
    assert city.fired("platform", "fleet") == {}


_MISSING = """
update store.delivery_hour set missing = %(count)s
where device_id = (select device_id from store.device where name = %(device)s) and hour > now() - %(since)s::interval
"""


def missing(city: SmallCity, count: int, since: str) -> None:
    """A gap of a device that has been there since."""
    city.db.execute(_MISSING, {"count": count, "device": ALONE[0], "since": since})


def test_new_gaps_fire_and_old_ones_do_not(city: SmallCity) -> None:
    """Records that went missing today are an alert of their city; what has been missing since yesterday is known."""
    missing(city, 7, "3 hours")
    (labels,) = city.fired("platform", "fleet")["readings-missing"]
    assert labels["city"] == "tirana"
    missing(city, 7, "3 days")
    assert city.fired("platform", "fleet") == {}


def test_a_gap_that_closed_is_none(city: SmallCity) -> None:
    """A gap that was there an hour ago and is filled now fires nothing."""
    missing(city, 7, "5 hours")
    missing(city, 0, "2 hours")
    assert city.fired("platform", "fleet") == {}


def test_records_given_up_are_missing_too(city: SmallCity) -> None:
    """What a device says that it gave up is lost, though no gap remains."""
    city.db.execute(
        "update store.delivery_hour set dropped = 3 where hour > now() - interval '2 hours' "
        "and device_id = (select device_id from store.device where name = %s)",
        (TANK,),
    )
    assert [labels["city"] for labels in city.fired("platform", "fleet")["readings-missing"]] == ["durres"]


def test_one_dark_lamp_is_no_alarm(city: SmallCity) -> None:
    """A single lamp that is dark, or two of four, wait for the day."""
    city.lamps((100, 0), (0, 0), (0, 0), (0, 0))
    assert city.fired("lighting", "fleet") == {}
    city.lamps((100, 0), (100, 0), (0, 0), (0, 0))
    assert city.fired("lighting", "fleet") == {}


def test_a_group_of_dark_lamps_is_one_alarm(city: SmallCity) -> None:
    """Three dark lamps of a site fire once, for the site."""
    city.lamps((100, 0), (100, 0), (100, 0), (0, 0))
    fired = city.fired("lighting", "fleet")
    assert list(fired) == ["lamps-dark"]
    assert [(labels["city"], labels["site"]) for labels in fired["lamps-dark"]] == [("tirana", "Rruga")]


def test_lamps_that_are_not_heard_are_not_dark(city: SmallCity) -> None:
    """Lamps whose controller is silent are an outage of the controller, not dark."""
    city.silence(3, LAMPS)
    assert list(city.fired("lighting", "fleet")) == ["device-silent"]


@pytest.mark.parametrize("metres", [1.5, 4.5])
def test_a_tank_beyond_what_is_usual(city: SmallCity, metres: float) -> None:
    """A tank that swings between 2 and 4 m is unusual at 1.5 and at 4.5 m."""
    city.tank(metres)
    fired = city.fired("water", "fleet")
    assert list(fired) == ["tank-level"]
    assert fired["tank-level"][0]["tank"] == TANK


@pytest.mark.parametrize(("metres", "minutes_ago"), [(1.9, 1), (4.1, 1), (0.1, 180)])
def test_a_tank_within_a_tenth_or_not_heard(city: SmallCity, metres: float, minutes_ago: float) -> None:
    """A little beyond is within the margin, and an old reading says nothing of now."""
    city.tank(metres, minutes_ago)
    assert city.fired("water", "fleet") == {}
