"""What there is to measure, and what is soldered to a board for it, as profile and settings say."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from qytet.errors import InputError
from qytet_bench.program import SOURCE
from qytet_simulators.hardware.profiles import DRIVERS, fitted, surroundings, wiring_for
from qytet_simulators.hardware.sensors.world import World
from tests.hardware.sensor_wires import START_MS
from tests.hardware.whole import profile_of

ROOT = Path(__file__).parents[2]


def test_a_world_is_made_by_its_seed() -> None:
    """The same seed is the same world at any time; another one is another; a script wins; fractions stay in order."""
    one, same, other = World(1), World(1), World(2)
    keys = (
        "pm2_5",
        "air_temperature",
        "grid_phase_voltage:l1",
        "water_flow_rate",
        "electrode_voltage_we:no2",
    )
    for key in keys:
        assert one.value(key, START_MS) == same.value(key, START_MS)
        assert one.value(key, START_MS) != other.value(key, START_MS)
        assert one.value(key, START_MS) != one.value(key, START_MS + 7_200_000)
    assert one.value("inclination:x-a", START_MS) == pytest.approx(0.42, abs=0.06)
    assert one.value("grid_frequency:l1", START_MS) == one.value("grid_frequency:l2", START_MS)
    for hour in range(24):
        pm = [one.value(key, START_MS + hour * 3_600_000) for key in ("pm1", "pm2_5", "pm4", "pm10")]
        assert pm == sorted(pm)
        assert 0 <= one.value("ambient_illuminance", START_MS + hour * 3_600_000) < 54_612
    one.script("pm2_5", lambda _: math.inf)
    assert one.value("pm10", START_MS) == math.inf


def _board(name: str = "esp32-devkitc") -> dict[str, object]:
    found: dict[str, object] = json.loads((SOURCE / "boards" / f"{name}.json").read_text())
    return found


def test_every_driver_of_every_profile_has_its_sensor() -> None:
    """The profiles that are shipped can be soldered to their boards; each row has a sensor of its name."""
    for path in sorted((SOURCE / "profiles").glob("*.json")):
        profile = profile_of(path.stem)
        around = surroundings(profile, _board())
        assert list(around.sensors) == [row["name"] for row in profile["sensors"]]
        assert wiring_for(profile, _board()).devices()
    parts = (SOURCE / "qytet_node" / "parts.py").read_text()
    assert all(f"\n{name} " in parts for name in DRIVERS), "the drivers that the node knows"
    page = (ROOT / "docs/reference/simulated-sensors.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == sorted(DRIVERS)


def _row(**more: object) -> dict[str, object]:
    return {"name": "one", "driver": "bh1750", "bus": "i2c0", "every_s": 1, "keys": {}, **more}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([_row(driver="crystal-ball")], "crystal-ball"),
        ([_row(), _row(name="two")], "two chips at 0x23"),
        ([_row(bus="i2c7")], "i2c7"),
        ([_row(driver="pir", bus="pin:nowhere")], "nowhere"),
        ([_row(options={"key": "moonlight"})], "moonlight"),
    ],
    ids=["driver", "address", "bus", "pin", "property"],
)
def test_what_cannot_be_wired_is_said_in_words(rows: list[Mapping[str, object]], words: str) -> None:
    """An unknown driver, bus or pin, and two chips at one address, are named with the sensor."""
    with pytest.raises(InputError) as refused:
        surroundings({"sensors": rows}, _board())
    assert words in str(refused.value)


def test_settings_change_what_is_soldered() -> None:
    """Sensors are left out, pins and options replaced, as the node itself does with its settings."""
    settings = {"pins": {"in1": 14}, "sensors": {"light": None, "wind": {"options": {"per_hz": 1.0}}}}
    profile, board = fitted(profile_of("micromet"), _board(), settings)
    around = surroundings(profile, board)
    assert "light" not in around.sensors
    assert around.wiring.pins[14] is around.sensors["wind"]
    wind = next(row for row in profile["sensors"] if row["name"] == "wind")
    assert (wind["options"]["per_hz"], wind["options"]["debounce_ms"]) == (1.0, 5)
    with pytest.raises(InputError, match="no sensor moon"):
        fitted(profile_of("micromet"), _board(), {"sensors": {"moon": None}})
