"""What an acceptance writes down is what was seen, and stays true."""

import copy
import datetime as dt
import json
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from qytet_bench.acceptance import run
from qytet_bench.acceptance.facts import program_version
from qytet_bench.acceptance.page import page
from qytet_bench.acceptance.record import is_intact
from tests.bench_tool.acceptance.city import BOOT, TOKEN, City
from tests.bench_tool.acceptance.records import Accept, failing, of
from tests.bench_tool.desk import Desk

pytestmark = pytest.mark.servers


def test_a_node_that_is_well_is_accepted(accept: Accept, city: City, desk: Desk) -> None:
    """Everything passes, the exit code is 0, and the record says who, what, where, when and the first reading."""
    city.node(of(desk, "well-1"), firmware=program_version())
    done, record = accept("well-1", "--technician", "Ana K.", "--note", "pole 7")
    assert done.exit_code == 0, done.stderr
    assert failing(record) == []
    assert "well-1 is accepted" in done.stdout
    assert "Accepted (checks left out: 1)" in page(record)
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


def test_the_first_reading_is_of_the_boot_that_the_record_names(
    accept: Accept, city: City, desk: Desk
) -> None:
    """A reading from a moment before the restart is not taken for one of the new boot; what is unproved is not said."""
    of_boot = {"firmware": program_version(), "booted_s": 1190.0}  # readings: 20 minutes ago, and 4 s ago
    city.node(of(desk, "young-1"), values={"uptime": 1190.0}, **of_boot)
    _, record = accept("young-1")
    first = record["first_reading"]
    since = dt.datetime.fromisoformat(record["started_at"]) - dt.datetime.fromisoformat(first["t"])
    assert first["boot"] == BOOT
    assert since < dt.timedelta(seconds=60)
    city.node(of(desk, "young-2"), ages={"uptime": 1195.0}, **of_boot)  # told before the boot was heard of
    _, record = accept("young-2")
    assert record["first_reading"]["boot"] == ""
    assert "of the present boot or the one before" in page(record)


def test_ctrl_c_leaves_no_record(accept: Accept, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An acceptance that was interrupted did not happen: exit code 130, and no file that says otherwise."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "fetch", interrupted)
    done = desk.run("test", "--device", "well-1")
    assert done.exit_code == 130
    assert "no record" in done.stderr
    assert list(desk.folder.rglob("well-1*")) == []


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
