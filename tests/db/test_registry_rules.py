"""The registry's rules hold in the database itself: validity, names, and news of changes."""

import psycopg
import pytest

from qytet.db.migrate import connect
from qytet.db.registry import parse, register
from qytet.errors import InputError
from tests.db.support import description

STREAM = """
insert into store.datastream (device_id, property, channel, valid)
values (%s, 'pm10', %s, tstzrange(%s::timestamptz, %s::timestamptz))
"""


def test_validities_of_one_key_never_overlap(db, place):
    """A second datastream of the same device, property and channel is refused while the first is valid."""
    db.execute(STREAM, (place.device_id, "", "2025-01-01T00:00Z", "2026-01-01T00:00Z"))
    for start, end in (
        ("2025-06-01T00:00Z", None),
        ("2024-01-01T00:00Z", "2025-01-01T00:00:00.001Z"),
        (None, None),
    ):
        with pytest.raises(psycopg.errors.ExclusionViolation, match="overlap in time"):
            db.execute(STREAM, (place.device_id, "", start, end))
    db.execute(STREAM, (place.device_id, "", "2026-01-01T00:00Z", None))
    db.execute(STREAM, (place.device_id, "2", "2025-06-01T00:00Z", None))
    with pytest.raises(psycopg.errors.ExclusionViolation):
        db.execute(
            "update store.datastream set valid = tstzrange('2025-01-01T00:00Z', null) "
            "where device_id = %s and channel = '' and property = 'pm10' and not upper_inf(valid)",
            (place.device_id,),
        )


def test_an_empty_validity_is_refused(db, place):
    """A datastream that is never valid cannot be registered."""
    with pytest.raises(psycopg.errors.CheckViolation):
        db.execute(STREAM, (place.device_id, "x", "2025-01-01T00:00Z", "2025-01-01T00:00Z"))


@pytest.mark.parametrize("name", ["", "Air", "a b", "ë", "a/b", "a" * 65])
def test_names_that_no_topic_can_carry_are_refused(db, name):
    """A device's name is a slug, so that it is always a level of a topic."""
    with pytest.raises(psycopg.errors.CheckViolation):
        register(db, parse(description(name)))


@pytest.mark.parametrize("table", ["city", "site", "device", "datastream"])
def test_changes_are_announced(db, migrated_url, place, table):
    """Whoever listens is told of a change to the registry, with the table's name."""
    changes = {
        "city": "update store.city set name = name",
        "site": "update store.site set name = name",
        "device": "update store.device set profile = profile",
        "datastream": "update store.datastream set channel = channel",
    }
    with connect(migrated_url) as listener:
        listener.execute("listen qytet_registry")
        db.execute(changes[table])
        heard = [note.payload for note in listener.notifies(timeout=60, stop_after=1)]
        listener.execute("unlisten qytet_registry")
    assert heard == [table]


def test_registering_again_changes_nothing(db, place):
    """The same description twice leaves the same devices and datastreams."""
    query = (
        "select datastream_id, key, valid_from, valid_to from qytet.datastream where device = %s order by 1"
    )
    before = db.execute(query, (place.device,)).fetchall()
    register(db, parse(description(place.device)))
    assert db.execute(query, (place.device,)).fetchall() == before


def test_an_unknown_place_registers_nothing(db):
    """A device whose site is unknown is named, and nothing else of the description is kept."""
    wrong = description("air-nowhere", site="nowhere")
    wrong["cities"].append(
        {"city": "durres", "name": "Durrës", "time_zone": "Europe/Tirane", "lat": 41.3, "lon": 19.4}
    )
    with pytest.raises(InputError, match="air-nowhere"):
        register(db, parse(wrong))
    assert db.execute("select count(*) from qytet.city where city = 'durres'").fetchone() == (0,)


def test_a_city_in_an_unknown_time_zone_is_refused(db):
    """A zone that the server does not know is named, before it turns every city's days into errors."""
    wrong = description("air-elsewhen")
    wrong["cities"][0] |= {"city": "vlore", "time_zone": "Europe/Tirana"}
    with pytest.raises(InputError, match="time zone") as caught:
        register(db, parse(wrong))
    assert "Europe/Tirana" in caught.value.why
    assert db.execute("select count(*) from qytet.city where city = 'vlore'").fetchone() == (0,)


@pytest.mark.parametrize("changes", [{"city": "nowhere"}, {"site": "nowhere"}, {"gateway": "nobody"}])
def test_a_known_device_is_not_left_where_it_was_in_silence(db, place, changes):
    """Moving a registered device to a place or a gateway that is unknown is refused, not passed over."""
    with pytest.raises(InputError, match=place.device):
        register(db, parse(description(place.device, **changes)))


def test_a_site_in_an_unknown_city_is_refused(db):
    """A site that could not be made is named instead of being counted as registered."""
    wrong = {"sites": [{"city": "nowhere", "site": "sheshi-i-humbur", "name": "?", "lat": 41.3, "lon": 19.8}]}
    with pytest.raises(InputError, match="sheshi-i-humbur"):
        register(db, parse(wrong))
