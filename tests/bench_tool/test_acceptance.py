"""Acceptance sees what is wrong with a node in place, and says it; what it writes down stays true."""

import copy
import datetime as dt
import functools
import json
import re
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from qytet import settings as platform_settings
from qytet.deploy import tls
from qytet.embedded import EmbeddedPostgres
from qytet.embedded.ports import free_port
from qytet.errors import InputError, NotFoundError
from qytet_bench.acceptance import facts, run
from qytet_bench.acceptance.api import Api
from qytet_bench.acceptance.facts import program_version
from qytet_bench.acceptance.page import page
from qytet_bench.acceptance.record import is_intact
from qytet_bench.acceptance.watch import Watch
from qytet_bench.console import Redactor
from qytet_bench.node import NodeSettings, node
from tests.bench_tool.city import BOOT, TOKEN, City, TlsPort, as_json, serving
from tests.bench_tool.desk import Desk
from tests.bench_tool.nodeboard import board
from tests.servers.database import fresh_database

pytestmark = pytest.mark.servers
AUTHORITY = tls.authority()
NAME = "mqtt.tirana.example"


@pytest.fixture(scope="module")
def city(postgres_server: EmbeddedPostgres) -> Iterator[City]:
    """The platform, for all tests of this file: each has nodes of its own."""
    with fresh_database(postgres_server) as url, serving(url) as made:
        yield made


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsPort]:
    with TlsPort(tmp_path_factory.mktemp("broker"), AUTHORITY, [NAME]) as port:
        yield port


Accept = Callable[..., tuple[Result, dict[str, Any]]]


@pytest.fixture
def accept(city: City, broker: TlsPort, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Accept]:
    """Run `qytet bench test` for a device, once; gives its result and the record."""
    (desk.folder / "ca.crt").write_bytes(AUTHORITY.certificate)
    desk.common |= {"api": city.url, "profile": "micromet", "site": "skenderbej"}
    desk.common["broker"] = {"host": "127.0.0.1", "port": broker.port, "name": NAME}
    desk.write()
    monkeypatch.setenv("QYTET_API__OPERATOR_TOKEN", TOKEN)
    monkeypatch.chdir(desk.folder)

    def run(device: str, *options: str) -> tuple[Result, dict[str, Any]]:
        platform_settings.load.cache_clear()
        out = desk.folder / "records"
        before = set(out.glob("*.json"))
        done = desk.run(
            "test", "--device", device, "--within", "0", "--every", "0.1", "--out", str(out), *options
        )
        (made,) = set(out.glob("*.json")) - before
        return done, as_json(made)

    yield run
    platform_settings.load.cache_clear()


def of(desk: Desk, device: str, profile: str = "micromet") -> NodeSettings:
    return node(desk.settings, device, profile=profile)


def check(record: dict[str, Any], id_: str) -> dict[str, Any]:
    (found,) = [one for one in record["checks"] if one["id"] == id_]
    assert isinstance(found, dict)
    return found


def failing(record: dict[str, Any]) -> list[str]:
    return [one["id"] for one in record["checks"] if one["state"] == "failed"]


def test_a_node_that_is_well_is_accepted(accept: Accept, city: City, desk: Desk) -> None:
    """Everything passes, the exit code is 0, and the record says who, what, where, when and the first reading."""
    city.node(of(desk, "well-1"), firmware=program_version())
    done, record = accept("well-1", "--technician", "Ana K.", "--note", "pole 7")
    assert done.exit_code == 0, done.stderr
    assert failing(record) == []
    assert "well-1 is accepted" in done.stdout
    states = {one["id"]: one["state"] for one in record["checks"]}
    assert states.pop("console") == "skipped"
    assert set(states.values()) == {"passed"}
    assert {"sensor:weather", "sensor:rain", "tls", "rssi", "clock", "backlog", "firmware", "refused"} <= set(
        states
    )
    assert (record["result"], record["technician"], record["note"]) == ("passed", "Ana K.", "pole 7")
    assert (record["city"], record["site"], record["place"]["site_name"]) == (
        "tirana",
        "skenderbej",
        "Sheshi Skënderbej",
    )
    first = record["first_reading"]
    assert (first["boot"], first["stored_up_to_seq"]) == (BOOT, 12)
    assert first["values"]["air_pressure"]["ucum"] == "hPa"
    assert first["t"] < record["started_at"]
    assert record["label"] == "qytet:device/tirana/well-1?site=skenderbej"
    assert is_intact(record)


# Each case: what is wrong with the node, which checks fail, what the first of them says it saw, what it advises.
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
    "one-stale": ({"ages": {"wind_speed": 3600.0}}, ["sensor:wind"], "60 min old", "monitor"),
    "not-registered": ({"unregistered": ("wind_speed",)}, ["sensor:wind"], "not registered", "description"),
    "silent": (
        {"age_s": 7200.0, "heard_s": 7200.0},
        [
            "heard",
            "stored",
            *(f"sensor:{name}" for name in ("weather", "light", "wind", "rain")),
            "clock",
            "rssi",
        ],
        "heard 720",
        "monitor",
    ),
    "lost": ({"state": "lost"}, ["heard"], "lost", "monitor"),
    "old-program": ({"firmware": "0.0.9"}, ["firmware"], "0.0.9 on", "provision"),
    "other-board": ({"board": "esp32-c3-devkitm"}, ["firmware"], "c3", "provision"),
    "weak": ({"values": {"rssi": -88.0}}, ["rssi"], "-88 dBm", "antenna"),
    "no-signal-told": ({"without": ("rssi",)}, ["rssi"], "not told", "health"),
    "own-clock": ({"time_quality": 1}, ["clock"], "own clock", "123"),
    "dated-later": ({"time_quality": 5}, ["clock"], "dated by the server", "123"),
    "ahead": ({"age_s": -60.0}, ["clock"], "came -5", "time server"),
    "behind": ({"age_s": 50.0}, ["clock"], "came 5", "time server"),
    "waiting": ({"values": {"backlog_records": 500.0}}, ["backlog"], "500 waiting", "Wait"),
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


def test_encryption_is_verified_as_the_node_does(
    accept: Accept, city: City, desk: Desk, broker: TlsPort, tmp_path: Path
) -> None:
    """Another authority, another name, a plain port, nobody there, and a node that is set to plain MQTT: each fails."""
    city.node(of(desk, "safe-1"), firmware=program_version())
    good = dict(desk.common["broker"])
    (tmp_path / "plain").mkdir()
    with TlsPort(tmp_path / "plain", AUTHORITY, [NAME], plain=True) as plain:
        for changed, seen in (
            ({"name": "other.example"}, "not to be trusted"),
            ({"port": plain.port}, "does not speak TLS"),
            ({"port": free_port()}, "does not answer"),
            ({"tls": False}, "plain MQTT"),
        ):
            desk.common["broker"] = {**good, **changed}
            desk.write()
            done, record = accept("safe-1")
            assert (done.exit_code, failing(record)) == (1, ["tls"]), changed
            assert seen in check(record, "tls")["seen"]
    desk.common["broker"] = good
    (desk.folder / "ca.crt").write_bytes(tls.authority().certificate)
    desk.write()
    _, record = accept("safe-1")
    assert failing(record) == ["tls"]
    assert "not to be trusted" in check(record, "tls")["seen"]
    done, record = accept("safe-1", "--skip", "tls")
    assert (done.exit_code, check(record, "tls")["state"]) == (0, "skipped")
    assert "--skip" in check(record, "tls")["seen"]


def test_a_certificate_that_is_about_to_expire_fails(
    accept: Accept, city: City, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less than two weeks left: the technician hears of it today, not the city in two weeks."""
    monkeypatch.setattr(tls, "SERVER_LIFE", dt.timedelta(days=5))
    with TlsPort(tmp_path, AUTHORITY, [NAME]) as short:
        desk.common["broker"]["port"] = short.port
        desk.write()
        city.node(of(desk, "safe-2"), firmware=program_version())
        _, record = accept("safe-2")
    assert failing(record) == ["tls"]
    assert re.search(
        r"TLSv1\.[23], for mqtt\.tirana\.example until .*, [45] days left", check(record, "tls")["seen"]
    )
    assert "rotate" in check(record, "tls")["do"]


def test_it_waits_until_all_is_well(accept: Accept, city: City, desk: Desk) -> None:
    """A node whose readings arrive during the acceptance is accepted, long before the deadline."""
    wanted = of(desk, "late-1")
    asked: list[str] = []

    real = facts.fetch

    def fetch(api: Api, subject: Any) -> Any:
        asked.append("")
        if len(asked) == 2:
            city.node(wanted, firmware=program_version())
        return real(api, subject)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "fetch", fetch)
        done, record = accept("late-1", "--within", "30")
    assert done.exit_code == 0, done.stderr
    assert len(asked) == 2
    assert "..." in done.stderr
    assert record["result"] == "passed"


def test_it_does_not_wait_for_what_will_not_change(
    accept: Accept, city: City, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two readings in a row that cannot be are enough: the technician hears of it at once, not at the deadline."""
    city.node(of(desk, "broken-1"), firmware=program_version(), values={"air_pressure": 300.0})
    asked: list[str] = []
    real = facts.fetch

    def fetch(api: Api, subject: facts.Subject) -> facts.Facts:
        found = real(api, subject)
        asked.append("")
        found.latest["air_pressure"]["phenomenon_time"] += str(len(asked))
        return found

    monkeypatch.setattr(run, "fetch", fetch)
    done, record = accept("broken-1", "--within", "60")
    assert (done.exit_code, failing(record), len(asked)) == (1, ["sensor:weather"], 2)


def test_ctrl_c_leaves_no_record(accept: Accept, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An acceptance that was interrupted did not happen: exit code 130, and no file that says otherwise."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "fetch", interrupted)
    done = desk.run("test", "--device", "well-1")
    assert done.exit_code == 130
    assert "no record" in done.stderr
    assert list(desk.folder.rglob("well-1*")) == []


def test_a_device_of_a_tray_is_found_in_its_list(accept: Accept, city: City, desk: Desk) -> None:
    """Site and profile come from the list; a device that is not in it is refused."""
    listed = desk.folder / "devices.csv"
    listed.write_text("device,site,profile\ntray-1,lana,waste\n")
    city.node(of(desk, "tray-1", "waste"), firmware=program_version(), site="lana")
    _, record = accept("tray-1", "--devices", str(listed))
    assert (failing(record), record["site"], record["profile"]) == ([], "lana", "waste")
    with pytest.raises(NotFoundError, match="tray-2"):
        accept("tray-2", "--devices", str(listed))


def test_the_cable_tells_why(accept: Accept, city: City, desk: Desk, tmp_path: Path) -> None:
    """With the board on the cable its errors fail it, and a failed check quotes what the console says about it."""
    talks = """
import time
print("1 info qytet 0.1.0, boot 9f3a01c2, 0 kept")
while True:
    print("2 warning no line: no network: wrong password")
    time.sleep(60)
"""
    city.node(of(desk, "cable-1"), firmware=program_version(), heard_s=3600.0, age_s=3600.0)
    with board(tmp_path, {"main.py": talks}, speed=300) as (made, _):
        made.console.wait_for("wrong password")
        done, record = accept("cable-1", "--port", made.console.path, "--within", "1.5")
    assert done.exit_code == 1
    assert "wrong password" in check(record, "heard")["do"]
    assert check(record, "console")["state"] == "passed"
    assert "wrong password" in check(record, "console")["seen"]
    city.node(of(desk, "cable-2"), firmware=program_version())
    crashes = (
        "import time\nwhile True:\n    print('3 error sampler failed: ValueError x')\n    time.sleep(60)\n"
    )
    with board(tmp_path, {"main.py": crashes}, speed=300) as (made, _):
        made.console.wait_for("sampler failed")
        _, record = accept("cable-2", "--port", made.console.path, "--skip", "rssi", "--min-rssi", "-10")
        for _ in range(20):  # it ends as soon as all is decided: the console may not have been heard by then
            if failing(record) == ["console"]:
                break
            _, record = accept("cable-2", "--port", made.console.path)
    assert failing(record) == ["console"]
    assert "sampler failed" in check(record, "console")["seen"]


def test_a_restart_by_opening_the_port_is_no_fault(tmp_path: Path) -> None:
    """The first seconds' switching-on is the port's; a crash at any time is the node's."""
    for said, state in (
        ("rst:0x1 (POWERON_RESET),boot:0x13", "passed"),
        ("rst:0x8 (TG1WDT_SYS_RESET)", "failed"),
    ):
        shows = f"import time\nprint({said!r})\nwhile True:\n    print('1 info here')\n    time.sleep(30)\n"
        with board(tmp_path, {"main.py": shows}, speed=300) as (made, _):
            made.console.wait_for("1 info here")
            with Watch(made.console.path, Redactor()) as watch:
                made.call(functools.partial(made.console.say, said.encode() + b"\r\n"))
                deadline = time.monotonic() + 10
                while said not in str(watch._heard()):
                    assert not watch._stop.wait(0.02)
                    assert time.monotonic() < deadline
            assert watch.check().state == state


def test_a_changed_record_is_found_out(accept: Accept, city: City, desk: Desk) -> None:
    """Its seal covers every field: a verdict, a value or a name that was changed afterwards shows."""
    city.node(of(desk, "seal-1"), firmware=program_version(), values={"rssi": -90.0})
    _, record = accept("seal-1")
    assert is_intact(record)
    changes: list[Callable[[dict[str, Any]], Any]] = [
        lambda one: one.update(result="passed"),
        lambda one: one["checks"][0].update(seen="fine"),
        lambda one: one.update(technician="Somebody else"),
        lambda one: one.pop("sha256"),
    ]
    for change in changes:
        changed = copy.deepcopy(record)
        change(changed)
        assert not is_intact(changed)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def test_the_page_shows_the_record_and_needs_nothing_else(accept: Accept, city: City, desk: Desk) -> None:
    """Every check, the first reading, the seal and the label are on it; it loads nothing, and text stays text."""
    city.node(of(desk, "page-1"), firmware=program_version(), site="lana", values={"rssi": -90.0})
    _, record = accept("page-1", "--site", "lana", "--note", "<script>alert(1)</script>")
    html = page(record)
    assert next((desk.folder / "records").glob("page-1-*.html")).read_text(encoding="utf-8") == html
    assert "<script" not in html
    assert "Lumi <Lana>" not in html
    reader = _Reader()
    reader.feed(html)
    text = " ".join(reader.text.split())
    assert reader.links == []
    for words in (
        "Not accepted",
        "FAILED",
        "-90 dBm",
        "Lumi <Lana>",
        "air_pressure",
        record["sha256"],
        "@page",
    ):
        assert words in text, words
    for one in record["checks"]:
        assert one["title"] in text
        assert " ".join(one["seen"].split()) in text
    assert "<svg" in html


def test_json_is_the_record_itself(accept: Accept, city: City, desk: Desk) -> None:
    """`--json` prints exactly the record, and nothing secret stands in it or in the files."""
    city.node(of(desk, "json-1"), firmware=program_version())
    secret = desk.vault.credential("json-1").password
    done, record = accept("json-1", "--json")
    assert json.loads(done.stdout) == record
    for path in (desk.folder / "records").iterdir():
        text = path.read_text(encoding="utf-8")
        assert not any(word in text for word in (TOKEN, secret, "correct horse"))


def test_a_check_that_is_not_there_cannot_be_left_out(accept: Accept) -> None:
    """A misspelt --skip is refused with the names there are; what everything hangs on cannot be left out."""
    for name in ("sensor:nothing", "stored", "api", "known"):
        with pytest.raises(InputError, match="no check") as caught:
            accept("well-1", "--skip", name)
        assert "sensor:weather" in caught.value.do
