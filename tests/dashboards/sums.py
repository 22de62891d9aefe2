"""All cities, one city and one device give consistent sums; each tier's test takes these up.

What a view gives for everything equals the sum of what it gives for the parts: cities, and devices in a city.
"""

from collections.abc import Mapping

import pytest

from tests.dashboards.asking import Asker
from tests.dashboards.city.scenario import Scenario

_ALL = "'{*}', '{*}', '{*}', '{*}'"
_RANGE = "date_trunc('hour', now()) - interval '26 hours', date_trunc('hour', now())"
_RECEIVED = """
select sum(received)::bigint from qytet.delivery_hour
where qytet.chosen(city, {c}) and qytet.chosen(device, {d})
"""
ADDITIVE: Mapping[str, tuple[str, str]] = {
    "vehicles": (
        "select sum(count) from qytet.lanes(qytet.streams({c}, '{*}', {d}, '{*}', '{vehicle_count}'), {r}, 'auto')",
        "traffic_counter",
    ),
    "water": (
        "select sum(m3) from qytet.water_balance({c}, '{*}', {d}, {r})",
        "water_dma",
    ),
    "light": (
        "select sum(kwh) from qytet.light_energy({c}, '{*}', {d}, {r})",
        "lamp_controller",
    ),
    "readings of a property": (
        "select sum(n)::bigint from qytet.property_series({c}, '{*}', {d}, '{*}', 'pm2_5', {r}, 'hour')",
        "air_station",
    ),
    "sum of a property": (
        "select sum(sum) from qytet.property_series({c}, '{*}', {d}, '{*}', 'vehicle_count', {r}, 'hour')",
        "traffic_counter",
    ),
    "received": (_RECEIVED, ""),
    "fleet": ("select count(*) from qytet.fleet({c}, '{*}', {d})", ""),
    "lamps": ("select count(*) from qytet.lamp_now({c}, '{*}', {d}, '{*}')", "lamp_controller"),
    "hours online": ("select sum(online)::bigint from qytet.fleet_hour({c}, '{*}', {d}, {r})", ""),
}


@pytest.mark.parametrize("name", list(ADDITIVE))
def test_cities_and_devices_add_up(asker: Asker, scenario: Scenario, name: str) -> None:
    """All equals the sum over cities; a city equals the sum over its devices; several equal the sum of them."""
    sql, profile = ADDITIVE[name]
    whole = _ask(asker, sql)
    by_city = {city.slug: _ask(asker, sql, [city.slug]) for city in scenario.fleet.cities}
    assert whole > 0
    assert whole == pytest.approx(sum(by_city.values()))
    assert _ask(asker, sql, ["tirana", "korce"]) == pytest.approx(by_city["tirana"] + by_city["korce"])
    devices = [device.name for device in scenario.fleet.devices if profile in ("", device.profile.name)]
    here = [name for name in devices if name.startswith("durres-")]
    assert by_city["durres"] == pytest.approx(sum(_ask(asker, sql, ["durres"], [device]) for device in here))


def test_a_city_s_sum_is_the_sum_of_its_devices(asker: Asker) -> None:
    """qytet.city_series sums what qytet.property_series gives for the city's devices, bucket by bucket."""
    series = asker.rows(
        f"select city, \"time\", sum from qytet.city_series('{{*}}', 'vehicle_count', {_RANGE}, 'hour') order by 1, 2"
    )
    parts = asker.rows(
        f"select city, \"time\", sum(sum) as sum from qytet.property_series({_ALL}, 'vehicle_count', {_RANGE}, 'hour') "
        "group by 1, 2 order by 1, 2"
    )
    assert series.rows > 24
    for one, other in zip(series.fields, parts.fields, strict=True):
        assert (
            list(one.values) == pytest.approx(list(other.values))
            if one.name == "sum"
            else one.values == other.values
        )


@pytest.mark.parametrize("wanted", ["raw", "15min", "hour"])
def test_a_finer_resolution_counts_the_same(asker: Asker, wanted: str) -> None:
    """Vehicles of a range are as many in quarters and hours as in readings."""
    assert _vehicles(asker, wanted) == pytest.approx(_vehicles(asker, "hour"))


def test_delivery_equals_the_ledger(asker: Asker) -> None:
    """What the hours of delivery add up to is what the ledger holds, device by device."""
    columns = (
        "sum(received)::bigint as received, sum(late)::bigint as late, sum(rejected)::bigint as rejected"
    )
    hours = asker.rows(
        f"select device, {columns}, sum(duplicate)::bigint as doubled from qytet.delivery_hour group by 1 order by 1"
    )
    ledger = asker.rows(
        f"select device, {columns}, sum(duplicates)::bigint as doubled from qytet.delivery group by 1 order by 1"
    )
    assert [one.values for one in hours.fields] == [one.values for one in ledger.fields]


def _vehicles(asker: Asker, wanted: str) -> float:
    return _number(
        asker,
        f"select sum(sum) from qytet.property_series({_ALL}, 'vehicle_count', {_RANGE}, '{wanted}')",
    )


def _ask(asker: Asker, sql: str, cities: list[str] | None = None, devices: list[str] | None = None) -> float:
    parts = {"{c}": _array(cities), "{d}": _array(devices), "{r}": _RANGE}
    for name, value in parts.items():
        sql = sql.replace(name, value)
    return _number(asker, sql)


def _array(names: list[str] | None) -> str:
    return "'{" + ",".join(names or ["*"]) + "}'::text[]"


def _number(asker: Asker, sql: str) -> float:
    (value,) = asker.rows(sql).fields[0].values
    return float(value or 0)
