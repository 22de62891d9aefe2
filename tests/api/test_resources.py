"""Each resource answers with what the database holds."""

from typing import Any

import httpx
import pytest

from tests.api import world
from tests.api.conftest import Run

FIRST = world.FIRST.isoformat().replace("+00:00", "Z")


def got(call: Run, path: str, **params: Any) -> Any:
    """The JSON of a 200."""

    async def ask(client: httpx.AsyncClient) -> Any:
        answer = await client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return call(ask)


def test_cities_count_their_devices(call: Run) -> None:
    """A city says how many of its devices are ready, and how many are silent: lost, or long not heard."""
    korce, tirana = got(call, "/v1/cities")["items"]
    assert (korce["city"], korce["name"], korce["devices"], korce["silent"]) == ("korce", "Korçë", 1, 1)
    assert (tirana["devices"], tirana["ready"], tirana["sleeping"], tirana["silent"]) == (3, 2, 0, 1)
    assert got(call, "/v1/cities/tirana")["time_zone"] == "Europe/Tirane"


def test_sites_of_a_city(call: Run) -> None:
    """Sites come with place and name, filtered by city."""
    assert [s["name"] for s in got(call, "/v1/sites", city="tirana")["items"]] == [
        "Lumi Lana",
        "Sheshi Skënderbej",
    ]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["korce-lamp-01", "tirana-air-01", "tirana-dma-01", "tirana-traffic-01"]),
        ({"city": "korce"}, ["korce-lamp-01"]),
        ({"site": "lana"}, ["tirana-dma-01"]),
        ({"profile": "traffic_counter"}, ["tirana-traffic-01"]),
        ({"state": "lost"}, ["tirana-dma-01"]),
        ({"city": "korce", "state": "lost"}, []),
    ],
)
def test_devices_by_filter(call: Run, filters: dict[str, str], names: list[str]) -> None:
    """Devices are filtered by city, site, profile and state, and by all of them together."""
    assert [d["device"] for d in got(call, "/v1/devices", **filters)["items"]] == names


def test_device_says_when_it_was_heard(call: Run) -> None:
    """A device comes with firmware, last seen and its age in seconds."""
    lamp = got(call, "/v1/devices/korce-lamp-01")
    assert lamp["firmware"] == "1.4.2"
    assert lamp["seen_at"].endswith("Z")
    assert 7200 <= lamp["age_s"] < 7500


def test_datastreams_carry_unit_and_ranges(call: Run) -> None:
    """A datastream comes with its unit and its ranges, filtered by city, device and property."""
    (stream,) = got(call, "/v1/datastreams", device="tirana-air-01", property="pm2_5")["items"]
    assert (stream["ucum"], stream["fail_max"], stream["domain"]) == ("ug/m3", 1000, "air_quality")
    assert got(call, f"/v1/datastreams/{stream['datastream_id']}") == stream
    assert {s["key"] for s in got(call, "/v1/datastreams", property="vehicle_count")["items"]} == {
        "vehicle_count:lane1",
        "vehicle_count:lane2",
    }


def test_properties_are_the_whole_catalogue(call: Run) -> None:
    """The catalogue comes whole, with units as machines and as people write them."""
    from qytet.catalogue import properties

    rows = got(call, "/v1/properties")["items"]
    assert {row["property"] for row in rows} == set(properties())
    pm = next(row for row in rows if row["property"] == "pm2_5")
    assert (pm["ucum"], pm["unit"]) == ("ug/m3", "µg/m³")


def test_ledger_accounts_for_every_record(call: Run) -> None:
    """The ledger names what was received, rejected, dropped and missing, and the gaps are those runs."""
    (boot,) = got(call, "/v1/ledger", device="tirana-air-01")["items"]
    kept = {name: boot[name] for name in ("received", "rejected", "dropped", "missing", "duplicates", "late")}
    assert kept == {"received": 18, "rejected": 1, "dropped": 3, "missing": 5, "duplicates": 2, "late": 1}
    assert (boot["stored_mark"], boot["last_seq"]) == (11, 27)
    gaps = [(g["state"], g["first_seq"], g["last_seq"]) for g in got(call, "/v1/ledger/gaps")["items"]]
    assert gaps == [("missing", 12, 12), ("missing", 21, 24), ("dropped", 25, 27)]
    totals = got(call, "/v1/ledger/totals", city="tirana")
    assert {name: totals[name] for name in kept} == kept
    assert got(call, "/v1/ledger/totals", city="korce")["received"] == 0


def test_undated_records_are_visible(call: Run) -> None:
    """A record that waits for its time is shown with boot, sequence number and readings."""
    records = got(call, "/v1/undated", device="tirana-air-01")["items"]
    assert [(r["seq"], r["up_ms"], r["m"]) for r in records] == [
        (n, n * 1000, {"pm2_5": 12.5}) for n in (18, 19, 20)
    ]


def test_dead_letter_keeps_its_bytes(call: Run) -> None:
    """A dead letter comes with its exact bytes, also where they are not text."""
    listed = got(call, "/v1/deadletters", reason="not_utf8")["items"]
    assert len(listed) == 3
    assert "payload_base64" not in listed[0]
    one = got(call, f"/v1/deadletters/{listed[0]['dead_letter_id']}")
    assert one["payload_base64"] == "eyJ2IjoxLP8="
    assert one["payload_text"] == '{"v":1,\ufffd'


def test_service_says_what_it_is(call: Run) -> None:
    """Health, readiness, version and metrics answer."""
    assert got(call, "/v1/health") == {"status": "ok"}
    assert got(call, "/v1/ready") == {"status": "ready"}
    assert got(call, "/v1/version")["api"] == "v1"


def test_metrics_count_by_route(call: Run) -> None:
    """Metrics count requests by the route's pattern: made-up addresses make no new series."""

    async def ask(client: httpx.AsyncClient) -> str:
        for name in ("tirana-air-01", "tirana-dma-01"):
            await client.get(f"/v1/devices/{name}")
        for path in ("/nothing/1", "/nothing/2"):
            await client.get(path)
        return (await client.get("/metrics")).text

    text = call(ask)
    assert 'qytet_api_requests_total{method="GET",route="/v1/devices/{device}",status="200"} 2.0' in text
    assert 'route="(none)",status="404"} 2.0' in text
    assert "/nothing" not in text


def test_every_unit_is_written_for_people() -> None:
    """No unit of the catalogue reaches people with UCUM's brackets or its plain-letter micro and cube."""
    from qytet.catalogue import properties
    from qytet.units import display

    for row in properties().values():
        assert not set(display(row.ucum)) & set("[]{}"), row.property
        assert display(row.ucum) not in {"ug/m3", "Cel", "deg", "m3", "m3/h"}, row.property
