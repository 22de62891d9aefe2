"""The fleet: enough devices, at real places, named once, described as the registry reads it."""

import json
from collections import Counter

import pytest

from qytet_contract import records, topics
from qytet_simulators.city import load_fleet
from qytet_simulators.city.fleet import FleetError
from qytet_simulators.city.profiles import GRAIN, PROFILES
from qytet_simulators.device.describe import description

_BOXES = {  # south, west, north, east
    "tirana": (41.28, 19.74, 41.38, 19.90),
    "durres": (41.28, 19.42, 41.37, 19.56),
    "korce": (40.59, 20.75, 40.65, 20.82),
}


def test_three_cities_hold_sixty_devices_of_every_kind():
    """A newcomer sees at least 60 devices; every city has air, lighting, water and traffic."""
    fleet = load_fleet()
    assert len(fleet.devices) >= 60
    kinds = Counter((device.city, device.profile.kind) for device in fleet.devices)
    assert set(kinds) == {(city, kind) for city in _BOXES for kind in ("air", "lighting", "water", "traffic")}


def test_every_site_lies_in_its_city():
    """No coordinate is mistyped out of its city's box."""
    for site in load_fleet().sites:
        south, west, north, east = _BOXES[site.city]
        assert south <= site.lat <= north, site
        assert west <= site.lon <= east, site


def test_names_and_keys_honour_the_contract():
    """Each device can be a topic, each datastream a key of a record, and a record is not too large."""
    for device in load_fleet().devices:
        assert topics.is_slug(device.name)
        assert topics.is_slug(device.city)
        assert 0 < len(device.datastreams) <= records.MAX_VALUES
        assert len(set(device.datastreams)) == len(device.datastreams)
        for key in device.datastreams:
            records.check_key(key)


def test_every_measured_property_has_a_grain():
    """A property without a grain could not be rounded as its instrument does."""
    for profile in PROFILES.values():
        for key in profile.datastreams(2):
            assert key.partition(":")[0] in GRAIN


def test_description_is_plain_data_without_dangling_names():
    """The description survives JSON, and each device stands at a described site of its city."""
    found = description(load_fleet())
    assert json.loads(json.dumps(found)) == found
    sites = {(row["city"], row["site"]) for row in found["sites"]}
    assert {(row["city"], row["site"]) for row in found["devices"]} <= sites
    assert {row["city"] for row in found["sites"]} == {row["city"] for row in found["cities"]}


@pytest.mark.parametrize("count", [1, 63, 64, 65, 3000])
def test_scaling_gives_exactly_so_many_distinct_devices(count):
    """A load test gets the number that it asked for, the described devices first."""
    fleet = load_fleet().scale(count)
    assert len(fleet.devices) == count == len(fleet.by_name)
    assert fleet.devices[0].name == load_fleet().devices[0].name


def test_pace_keeps_within_bounds():
    """A demo's devices report every 1 to 10 seconds whatever their profile says."""
    paced = load_fleet().paced(1 / 60, 1, 10)
    assert {device.interval_ms for device in paced.devices} == {1000, 10_000}


def test_mistakes_are_named(tmp_path):
    """An unknown city, an unknown device and a broken file each say what is wrong."""
    with pytest.raises(FleetError, match="atlantis"):
        load_fleet(["atlantis"])
    with pytest.raises(FleetError, match="nobody-01"):
        load_fleet().only(["nobody-01"])
    with pytest.raises(FleetError, match="at least one"):
        load_fleet().scale(0)
    (tmp_path / "vlore.toml").write_text("[city]\nname = 'Vlorë'\n", encoding="utf-8")
    with pytest.raises(FleetError, match=r"vlore\.toml"):
        load_fleet(["vlore"], folder=tmp_path)
