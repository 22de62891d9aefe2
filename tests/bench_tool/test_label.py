"""Labels say which device it is, to people and to phones; descriptions say to the registry what it will send."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import segno

from qytet.db import registry
from qytet.errors import InputError
from qytet_bench import label
from qytet_bench.label import Label
from tests.bench_tool.desk import Desk
from tests.firmware.device import DEVICE

TIRANA = {
    "cities": {"tirana": {"name": "Tirana", "time_zone": "Europe/Tirane", "lat": 41.33, "lon": 19.82}},
    "sites": {"skenderbej": {"name": "Sheshi Skënderbej", "lat": 41.3275, "lon": 19.8187, "height_m": 110.0}},
}


def test_the_drawn_code_is_that_of_the_content() -> None:
    """The squares of the SVG are the QR code of `qytet:device/CITY/DEVICE?site=SITE`, with four modules of white."""
    made = Label("tirana", "tirana-air-01", "skenderbej")
    assert made.content == "qytet:device/tirana/tirana-air-01?site=skenderbej"
    root = ET.fromstring(label.svg(made))
    (path,) = root.iter("{http://www.w3.org/2000/svg}path")
    drawn = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", path.attrib["d"])}
    matrix = segno.make(made.content, error="q", micro=False).matrix
    assert drawn == {(x + 4, y + 4) for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark}
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["tirana-air-01", "skenderbej", "tirana"]


def test_the_longest_names_fit() -> None:
    """A code of three names of 64 letters can be drawn, and its text is made small enough for the label."""
    made = Label("c" * 64, "d" * 64, "s" * 64).checked()
    root = ET.fromstring(label.svg(made))
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        width_mm = 0.62 * float(text.attrib["font-size"]) * len(text.text or "")
        assert float(text.attrib["x"]) + width_mm <= 60.1


def test_labels_come_as_file_of_each_kind(desk: Desk) -> None:
    """SVG, PNG and a page with all of a list's labels are written; other endings are refused."""
    (desk.folder / "devices.csv").write_text("device,site\nnode-1,skenderbej\nnode-2,blloku\n")
    for name, start in (("a.svg", b"<svg"), ("a.png", b"\x89PNG"), ("a.html", b"<!doctype html>")):
        out = desk.folder / name
        said = desk.says("label", "--device", "node-1", "--site", "skenderbej", "--out", str(out), "--json")
        assert said["labels"] == ["qytet:device/tirana/node-1?site=skenderbej"]
        assert out.read_bytes().startswith(start)
    out = desk.folder / "all.html"
    desk.says("label", "--devices", str(desk.folder / "devices.csv"), "--out", str(out), "--json")
    assert out.read_text().count('<svg xmlns="http://www.w3.org/2000/svg"') == 2
    assert "http://" not in out.read_text().replace("http://www.w3.org/2000/svg", "")
    for arguments in (
        ["--device", "node-1", "--out", "a.jpg"],
        ["--device", "Node", "--out", "a.svg"],
        ["--out", "a.svg"],
    ):
        with pytest.raises(InputError):
            desk.run("label", *arguments)


@pytest.mark.parametrize("profile", [path.stem for path in (DEVICE / "profiles").glob("*.json")])
def test_the_registry_takes_the_description(desk: Desk, profile: str) -> None:
    """`qytet device register` understands the description of every profile, whose keys are in the catalogue."""
    desk.common |= TIRANA
    desk.write()
    result = desk.run("description", "--device", "node-1", "--site", "skenderbej", "--profile", profile)
    found = registry.parse(result.stdout.encode())
    (device,) = found.devices
    assert (device.device, device.city, device.site, device.profile) == (
        "node-1",
        "tirana",
        "skenderbej",
        profile,
    )
    keys = [key for row in _profile(profile)["sensors"] for key in row["keys"]]
    assert set(keys) < set(device.datastreams)
    assert {"uptime", "rssi"} < set(device.datastreams)
    assert len(set(device.datastreams)) == len(device.datastreams)
    assert [city.name for city in found.cities] == ["Tirana"]
    assert [site.height_m for site in found.sites] == [110.0]


def test_a_list_is_described_at_once(desk: Desk) -> None:
    """All devices of a list are in one description; each place once, and only what bench.toml knows of it."""
    desk.common |= TIRANA
    desk.write()
    path = desk.folder / "devices.csv"
    path.write_text("device,site\nnode-1,skenderbej\nnode-2,skenderbej\nnode-3,blloku\n")
    found = json.loads(desk.run("description", "--devices", str(path)).stdout)
    assert [device["device"] for device in found["devices"]] == ["node-1", "node-2", "node-3"]
    assert len(found["cities"]) == len(found["sites"]) == 1
    path.write_text("device\nnode-1\n")
    with pytest.raises(InputError, match="no site"):
        desk.run("description", "--devices", str(path))
    with pytest.raises(InputError, match="No device"):
        desk.run("description")


def test_units_are_those_of_the_catalogue(desk: Desk) -> None:
    """`--units` lists each key with the unit that the node will declare at its birth."""
    shown = desk.run("description", "--device", "node-1", "--units").stdout.splitlines()
    assert "node-1  pm2_5  ug/m3" in shown
    assert "node-1  electrode_voltage_we:no2  mV" in shown
    told = desk.says("description", "--device", "node-1", "--units", "--json")
    assert [f"node-1  {key}  {unit}" for key, unit in told["node-1"].items()] == shown


def _profile(name: str) -> dict[str, Any]:
    return dict(json.loads((Path(DEVICE) / f"profiles/{name}.json").read_text()))
