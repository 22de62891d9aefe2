"""Acceptance sees what is wrong with a node in place, and says it."""

import json
from typing import Any

import pytest

from qytet.embedded.ports import free_port
from qytet.errors import InputError, NotFoundError
from qytet_bench.acceptance.api import Api
from qytet_bench.acceptance.facts import program_version
from qytet_bench.acceptance.record import is_intact
from tests.bench_tool.acceptance.city import TOKEN, City
from tests.bench_tool.acceptance.records import Accept, check, failing, of
from tests.bench_tool.desk import Desk

pytestmark = pytest.mark.servers


# Each case: what is wrong with the node, which checks fail, what the first of them says it saw, what it advises. Ages
# may be a minute more when they are looked at, and what is seen is the same.
CASES: dict[str, tuple[dict[str, Any], list[str], str, str]] = {
    "out-of-range": ({"values": {"air_pressure": 300.0}}, ["sensor:weather"], "air_pressure 300", "wires"),
    "flagged": (
        {"quality": 4},
        ["sensor:weather", "sensor:light", "sensor:wind", "sensor:rain"],
        "",
        "place",
    ),
    "missing": ({"without": ("wind_speed",)}, ["sensor:wind"], "no wind_speed yet", "supply"),
    "no-value": ({"values": {"ambient_illuminance": None}}, ["sensor:light"], "no value", "monitor"),
    "one-stale": ({"ages": {"wind_speed": 3575.0}}, ["sensor:wind"], "60 min old", "monitor"),
    "not-registered": ({"unregistered": ("wind_speed",)}, ["sensor:wind"], "not registered", "description"),
    "silent": (
        {"age_s": 7200.0, "heard_s": 7200.0},
        [
            "heard",
            "stored",
            *(f"sensor:{name}" for name in ("weather", "light", "wind", "rain")),
            "clock",
            "rssi",
            "backlog",
        ],
        "heard 72",
        "monitor",
    ),
    "lost": ({"state": "lost"}, ["heard"], "lost", "monitor"),
    "old-program": ({"firmware": "0.0.9"}, ["firmware"], "0.0.9 on", "provision"),
    "other-board": ({"board": "esp32-c3-devkitm"}, ["firmware"], "c3", "provision"),
    "weak": ({"values": {"rssi": -88.0}}, ["rssi"], "-88 dBm", "antenna"),
    "no-signal-told": ({"without": ("rssi",)}, ["rssi"], "not told", "health"),
    "own-clock": ({"time_quality": 1}, ["clock"], "own clock", "123"),
    "dated-later": ({"time_quality": 5}, ["clock"], "dated by the server", "123"),
    "ahead": ({"age_s": -590.0}, ["clock"], "was -5", "time server"),
    "behind": ({"age_s": 100.0}, ["clock"], "was 1", "time server"),
    "waiting": ({"values": {"backlog_records": 500.0}}, ["backlog"], "500 waiting", "Wait"),
    "waiting-unknown": ({"ages": {"backlog_records": 3575.0}}, ["backlog"], "told 60 min ago", "health"),
    "gap": ({"received": "{[1,5),[9,13)}"}, ["backlog"], "4 missing", "Wait"),
    "rejected": ({"rejected": "{[13,15)}"}, ["refused"], "2 records", "deadletter"),
    "elsewhere": ({"site": "lana"}, ["known"], "at lana", "Register it where"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_fault_is_seen_and_named(accept: Accept, city: City, desk: Desk, name: str) -> None:
    """A node with one fault is not accepted: its check alone fails, with what was seen and what to do."""
    changes, wrong, seen, do = CASES[name]
    city.node(of(desk, f"bad-{name}"), **{"firmware": program_version(), **changes})
    done, record = accept(f"bad-{name}")
    assert done.exit_code == 1
    assert record["result"] == "failed"
    assert failing(record) == wrong
    first = check(record, wrong[0])
    assert seen in first["seen"]
    assert do in first["do"]
    assert first["expected"]
    assert first["do"] in " ".join(done.stderr.split())
    assert is_intact(record)


def test_speed_without_vehicles_is_no_fault(accept: Accept, city: City, desk: Desk) -> None:
    """An empty road has no mean speed: null beside a count of 0 passes, beside vehicles it does not."""
    for device, count, wrong in (("road-empty", 0.0, []), ("road-full", 9.0, ["sensor:lane-1"])):
        values = {"vehicle_count:lane1": count, "vehicle_speed_mean:lane1": None}
        city.node(of(desk, device, "traffic"), firmware=program_version(), values=values)
        _, record = accept(device, "--profile", "traffic")
        assert failing(record) == wrong


def test_a_sensor_that_warms_up_for_hours_is_left_open(accept: Accept, city: City, desk: Desk) -> None:
    """Gas cells two hours from their first value are skipped with when to come back; with errors they fail."""
    cells = ("electrode_voltage_we:no2", "electrode_voltage_ae:no2")
    young = {"uptime": 600.0}
    city.node(of(desk, "cells-1", "air"), firmware=program_version(), without=cells, values=young)
    _, record = accept("cells-1", "--profile", "air")
    assert failing(record) == []
    cell = check(record, "sensor:cell-no2")
    assert cell["state"] == "skipped"
    assert "1.8 h" in cell["seen"]
    city.node(
        of(desk, "cells-2", "air"),
        firmware=program_version(),
        without=cells,
        values={**young, "sensor_errors_total:cell-no2": 4.0},
    )
    _, record = accept("cells-2", "--profile", "air")
    assert failing(record) == ["sensor:cell-no2"]
    assert "4 errors" in check(record, "sensor:cell-no2")["seen"]


def test_an_unknown_device_is_told_how_to_be_registered(accept: Accept, city: City) -> None:
    """A device that nobody registered: said so, with its refused messages, and nothing else is guessed."""
    city.refuse("nobody-1", "unknown_device")
    done, record = accept("nobody-1")
    assert done.exit_code == 1
    assert failing(record) == ["known", "refused"]
    assert "qytet device register" in check(record, "known")["do"]
    assert "unknown_device" in check(record, "refused")["seen"]
    assert record["first_reading"] is None


def test_refused_messages_are_seen_with_the_token_only(
    accept: Accept, city: City, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the token a dead letter fails the node; without, that is skipped and said; a wrong one is an error."""
    city.node(of(desk, "letters-1"), firmware=program_version())
    city.refuse("letters-1", "unknown_datastream")
    _, record = accept("letters-1")
    assert failing(record) == ["refused"]
    monkeypatch.delenv("QYTET_API__OPERATOR_TOKEN")
    done, record = accept("letters-1")
    assert (done.exit_code, failing(record), check(record, "refused")["state"]) == (0, [], "skipped")
    monkeypatch.setenv("QYTET_API__OPERATOR_TOKEN", "another-token")
    done, record = accept("letters-1", "--within", "60")  # it does not wait for what will not change
    assert (done.exit_code, failing(record)) == (1, ["api"])
    assert "QYTET_API__OPERATOR_TOKEN" in check(record, "api")["do"]
    assert "another-token" not in done.output + json.dumps(record)


def test_a_platform_that_is_down_is_said_so(accept: Accept) -> None:
    """Nobody at the address: a failed check that says so, and no verdict on the node's sensors."""
    done, record = accept("well-1", "--api", f"http://127.0.0.1:{free_port()}")
    assert done.exit_code == 1
    assert failing(record) == ["api"]
    assert "does not answer" in check(record, "api")["seen"]
    assert [one["id"] for one in record["checks"]] == ["api", "tls", "console"]


def test_a_token_goes_nowhere_unencrypted() -> None:
    """The key is refused for a plain address of another machine, and an address with a user is no address."""
    with pytest.raises(InputError, match="unencrypted"):
        Api("http://qytet.tirana.example", TOKEN)
    Api("http://127.0.0.1:1", TOKEN)
    Api("http://qytet.tirana.example")
    for wrong in ("qytet.tirana.example", "ftp://x", "https://user:pw@x"):
        with pytest.raises(InputError, match="no address"):
            Api(wrong)


def test_a_device_of_a_tray_is_found_in_its_list(accept: Accept, city: City, desk: Desk) -> None:
    """Site and profile come from the list; a device that is not in it is refused."""
    listed = desk.folder / "devices.csv"
    listed.write_text("device,site,profile\ntray-1,lana,waste\n")
    city.node(of(desk, "tray-1", "waste"), firmware=program_version(), site="lana")
    _, record = accept("tray-1", "--devices", str(listed))
    assert (failing(record), record["site"], record["profile"]) == ([], "lana", "waste")
    with pytest.raises(NotFoundError, match="tray-2"):
        accept("tray-2", "--devices", str(listed))


def test_a_check_that_is_not_there_cannot_be_left_out(accept: Accept) -> None:
    """A misspelt --skip is refused with the names there are; what everything hangs on cannot be left out."""
    for name in ("sensor:nothing", "stored", "api", "known"):
        with pytest.raises(InputError, match="no check") as caught:
            accept("well-1", "--skip", name)
        assert "sensor:weather" in caught.value.do
