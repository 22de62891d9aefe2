"""Profiles and boards in the VM: each can be wired to the drivers that exist, and wrong ones are named."""

import json
from pathlib import Path
from typing import Any

import pytest

from qytet_contract import notices
from qytet_contract.properties import PROPERTIES
from tests.firmware.device import DEVICE, run
from tests.servers.micropython import MicroPython

VM = Path(__file__).parent / "vm"
PROFILES = sorted(path.stem for path in (DEVICE / "profiles").glob("*.json"))
BOARDS = sorted(path.stem for path in (DEVICE / "boards").glob("*.json"))
_HEAD = """
import json, sys
from board import Hardware
from qytet_node import profile
from qytet_node.parts import Parts
root, data = sys.argv[1], sys.argv[2]
def say(value):
    print(json.dumps(value))
def settings(name, board, **more):
    found = {"profile": name, "board": board, "sensors": {}, "pins": {}, "report_s": None}
    found.update(more)
    return found
def refused(*args, **more):
    try:
        profile.load(root, settings(*args, **more))
    except profile.ProfileError as error:
        return str(error)
"""


def _run(vm: MicroPython, body: str, root: Path, data: Path) -> list[Any]:
    return run(vm, _HEAD + body, str(root), str(data), path=[VM], heap="220wK")


def test_every_application_has_a_profile() -> None:
    """The nine areas of the catalogue and the three boards are there."""
    assert set(PROFILES) == {
        "air",
        "lighting",
        "micromet",
        "parking",
        "power",
        "structure",
        "traffic",
        "waste",
        "water",
    }
    assert set(BOARDS) == {"esp32-c3-devkitm", "esp32-devkitc", "esp32-s3-devkitc"}


def test_the_units_are_the_catalogue() -> None:
    """The node's list of units, which it reads by lines to spare memory, is the contract's."""
    text = "".join(f"{name} {row[0]}\n" for name, row in PROPERTIES.items())
    assert (DEVICE / "profiles" / "units.txt").read_text() == text, "write it anew, as this test does"


def test_a_key_that_the_catalogue_does_not_have_is_named(micropython: MicroPython, tmp_path: Path) -> None:
    """A profile with a key of its own invention does not start: the city would refuse its records."""
    body = """
try:
    profile.streams(root, ["pm1", "brightness:a"])
except profile.ProfileError as error:
    say(str(error))
"""
    assert _run(micropython, body, DEVICE, tmp_path) == ["the catalogue has no brightness:a"]


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_can_be_wired(micropython: MicroPython, tmp_path: Path, name: str, board: str) -> None:
    """Each sensor is made by its driver on this board's pins, and each key is one that the driver gives."""
    body = f"""
found, board = profile.load(root, settings({name!r}, {board!r}))
hardware = Hardware(board)
parts = Parts(hardware, data, lambda key: None)
for row in found["sensors"]:
    driver = parts.make(row)
    for key in row["keys"]:
        assert key.partition(":")[0] in driver.PROPERTIES, (row["name"], key)
        if getattr(driver, "_keys", None) and "channel" not in row:
            every = [one for keys in driver._keys for one in ([keys] if isinstance(keys, str) else keys or [])]
            assert key in every, (key, every)
for row in found.get("outputs", ()):
    hardware.pin(row["pin"])
say(json.loads(profile.streams(root, profile.keys(found))))
say(hardware.used)
"""
    streams, used = _run(micropython, body, DEVICE, tmp_path)
    for stream in streams:
        notices.check_stream(stream)
    assert len(used) == len(set(used)), "two things hang on one pin"


def test_settings_change_a_profile(micropython: MicroPython, tmp_path: Path) -> None:
    """A site's options, pins and interval replace those of the profile; a sensor can be taken out."""
    body = """
change = {"pressure": {"options": {"high": 16}}, "sewer": None}
found, board = profile.load(root, settings("water", "esp32-devkitc", sensors=change, pins={"in1": 14}, report_s=300))
rows = {row["name"]: row for row in found["sensors"]}
say([rows["pressure"]["options"]["high"], rows["pressure"]["options"]["low"], "sewer" in rows])
say([board["pins"]["in1"], found["report_s"]])
"""
    assert _run(micropython, body, DEVICE, tmp_path) == [[16, 0, False], [14, 300]]


def test_what_cannot_work_is_named(micropython: MicroPython, tmp_path: Path) -> None:
    """A profile that is absent, no JSON, or wrong in a row is refused with its place; so is a driver's option."""
    good = {
        "name": "light",
        "driver": "bh1750",
        "bus": "i2c0",
        "every_s": 5,
        "keys": {"photocell_illuminance": "mean"},
    }
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"keys": {"photocell_illuminance": "median"}}, "no such rule"),
        ({"keys": {"photocell_illuminance": "weighted n"}}, "no such rule"),
        ({"every_s": 0}, "every_s must be above 0"),
        ({"name": "A light"}, "a name is made of"),
        ({"colour": 1}, "nobody knows what colour is"),
        ({"at_once": ["pm1"]}, "at_once names pm1"),
    ]
    (tmp_path / "profiles").mkdir()
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "b.json").write_text((DEVICE / "boards" / "esp32-devkitc.json").read_text())
    for number, (change, _) in enumerate(wrong):
        whole = {"v": 1, "report_s": 60, "sensors": [good | change]}
        (tmp_path / "profiles" / f"p{number}.json").write_text(json.dumps(whole))
    whole = {"v": 1, "report_s": 60, "sensors": [good, good]}
    (tmp_path / "profiles" / "twice.json").write_text(json.dumps(whole))
    (tmp_path / "profiles" / "text.json").write_text("{")
    body = f"""
for number in range({len(wrong)}):
    say(refused("p%d" % number, "b"))
say(refused("twice", "b"))
say(refused("text", "b"))
say(refused("absent", "b"))
say(refused("twice", "b", sensors={{"dark": None}}))
parts = Parts(Hardware(json.load(open(root + "/boards/b.json"))), root, lambda key: None)
for change in ({{"driver": "crystal"}}, {{"bus": "i2c7"}}, {{"options": {{"colour": 1}}}}):
    row = {good!r}
    row.update(change)
    try:
        parts.make(row)
    except profile.ProfileError as error:
        say(str(error))
"""
    said = _run(micropython, body, tmp_path, tmp_path)
    wanted = [words for _, words in wrong] + ["called light", "no JSON", "cannot be read", "no sensor dark"]
    wanted += ["there is no driver crystal", "sensor light: KeyError", "sensor light: TypeError"]
    for message, words in zip(said, wanted, strict=True):
        assert words in message
