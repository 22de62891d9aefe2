"""The node's settings in the VM: whole ones are taken, wrong ones are named, and no secret is ever shown."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.firmware.device import run
from tests.servers.micropython import MicroPython

SECRET = "not-for-any-log"
GOOD: dict[str, Any] = {
    "v": 1,
    "city": "tirana",
    "device": "node-1",
    "profile": "air",
    "board": "esp32-devkitc",
    "wifi": {"ssid": "city", "password": SECRET},
    "broker": {"host": "broker.example", "port": 8883, "tls": True, "user": "node-1", "password": SECRET},
}
_LOAD = """
import json, sys
from qytet_node.config import ConfigError, load
for path in sys.argv[1:]:
    try:
        print(json.dumps(load(path)))
    except ConfigError as error:
        print(json.dumps(str(error)))
"""
WRONG: list[tuple[str, Any, str]] = [
    ("v", 2, "version 2"),
    ("city", "Tiranë", "city must be made of"),
    ("device", "", "device must be made of"),
    ("colour", "red", "nobody knows what colour is"),
    ("wifi", [], "wifi must be an object"),
    ("wifi.ssid", "x" * 33, "wifi.ssid is longer than 32"),
    ("wifi.password", "short", "wifi.password is shorter"),
    ("broker.port", 0, "broker.port must be a whole number"),
    ("broker.port", True, "broker.port must be a whole number"),
    ("broker.tls", "yes", "broker.tls must be true or false"),
    ("broker.password", None, "broker.password must be a text"),
    ("broker.host", "", "broker.host must be a text"),
    ("ntp", [], "ntp must be a list"),
    ("ntp", ["pool.ntp.org:ntp"], "ntp has servers as host or host:port"),
    ("ntp", ["pool.ntp.org", "2001:db8::1"], "ntp has servers as host or host:port"),
    ("keep_bytes", 100, "keep_bytes must be a whole number"),
    ("report_s", 0.5, "report_s must be a whole number"),
    ("sensors", 3, "sensors must be an object"),
]


def _load(vm: MicroPython, folder: Path, texts: list[str]) -> list[Any]:
    paths = []
    for number, text in enumerate(texts):
        (folder / f"{number}.json").write_text(text)
        paths.append(str(folder / f"{number}.json"))
    return run(vm, _LOAD, *paths)


def _with(name: str, value: Any) -> str:
    found = copy.deepcopy(GOOD)
    *above, last = name.split(".")
    inner = found[above[0]] if above else found
    inner[last] = value
    return json.dumps(found)


def test_settings_are_taken_with_their_defaults(micropython: MicroPython, tmp_path: Path) -> None:
    """What is given is kept, what may be left out has a value."""
    (said,) = _load(micropython, tmp_path, [json.dumps(GOOD)])
    assert said | GOOD == said
    assert said["ntp"]
    assert said["keep_bytes"] > 32768


def test_what_is_wrong_is_named_and_secrets_are_not(micropython: MicroPython, tmp_path: Path) -> None:
    """Each mistake is told by the name of the setting; a missing one, no JSON and no file are told too."""
    texts = [_with(name, value) for name, value, _ in WRONG]
    texts += [json.dumps({k: v for k, v in GOOD.items() if k != "broker"}), "{", "[]"]
    wanted = [words for *_, words in WRONG] + ["broker is missing", "is no JSON", "must be an object"]
    said = _load(micropython, tmp_path, texts)
    for message, words in zip(said, wanted, strict=True):
        assert words in message
        assert SECRET not in message
    (said,) = run(micropython, _LOAD, str(tmp_path / "absent.json"))
    assert "cannot be read" in said


@pytest.mark.parametrize("name", sorted(GOOD))
def test_nothing_needed_may_be_missing(micropython: MicroPython, tmp_path: Path, name: str) -> None:
    """Every setting that has no default is asked for by its name."""
    (said,) = _load(micropython, tmp_path, [json.dumps({k: v for k, v in GOOD.items() if k != name})])
    assert f"{name} is missing" in said
