"""Every profile of the node, whole, on the simulated board with all its sensors: what it tells is what there was."""

from collections.abc import Iterator
from typing import Any

import pytest

from qytet_bench.program import Program, build
from qytet_simulators.hardware.flash import FlashFile
from tests.hardware.agreement import complaints, reports_of
from tests.hardware.whole import BOARD, City, Whole, whole_node
from tests.servers.micropython import MicroPython
from tests.servers.mosquitto import MosquittoServer

pytestmark = pytest.mark.servers

START_MS = 1_788_256_800_000
"""2026-09-01 10:00 UTC, so that each run sees the same day."""
BOARDS = {"micromet": "esp32-s3-devkitc", "parking": "esp32-c3-devkitm", "water": "esp32-c3-devkitm"}
"""Where it is not an ESP32."""
RUNS = {
    "lighting": (200, None),
    "micromet": (200, None),
    "parking": (640, 300),
    "power": (320, None),
    "structure": (130, None),
    "traffic": (200, None),
    "waste": (640, 300),
    "water": (200, None),
}
"""Virtual seconds, and how often it reports if not as its profile says."""


@pytest.fixture(scope="module")
def program() -> Program:
    """The node's program as a bench compiles it."""
    return build()


@pytest.fixture(scope="module")
def broker() -> Iterator[MosquittoServer]:
    """One broker for all nodes."""
    server = MosquittoServer(tls=True)
    server.add_users([f"node-{name}" for name in (*RUNS, "air")])
    with server:
        yield server


def _began_ms(city: City, boot: str) -> int:
    return next(int(one["t"] - one["up"]) for one in city.records[boot].values() if one["t"] is not None)


def _check(node: Whole, boot: str, *, cold: bool = False) -> None:
    """All that a boot told is true, every key of the profile came, and no sensor failed."""
    began_ms = _began_ms(node.city, boot)
    records = list(node.city.records[boot].values())
    reports = reports_of(records, node.profile, began_ms)
    assert complaints(node.profile, node.around, reports, began_ms=began_ms) == []
    every_ms = reports[-1][1] - reports[-2][1]
    steady = {
        key for row in node.profile["sensors"] for key in row["keys"] if row["every_s"] * 2000 <= every_ms
    }
    for _, _, m in reports[1:]:
        assert steady - set(m) == {key for key in steady if "electrode" in key and cold}
    health = [one["m"] for one in records if "uptime" in one["m"]][-1]
    assert {key: value for key, value in health.items() if key.startswith("sensor_errors")} == {
        f"sensor_errors_total:{row['name']}": 0 for row in node.profile["sensors"]
    }
    assert (health["rssi"], health["dropped_records_total"]) == (-61, 0)


def _told(node: Whole) -> set[str]:
    return {
        key
        for kept in node.city.records.values()
        for one in kept.values()
        for key, value in one["m"].items()
        if value is not None
    }


def _wanted(node: Whole) -> set[str]:
    outputs = [row["key"] for row in node.profile.get("outputs", ())]
    return {key for row in node.profile["sensors"] for key in row["keys"]} | set(outputs)


@pytest.mark.parametrize("name", list(RUNS))
def test_a_profile_tells_the_truth(
    name: str, program: Program, broker: MosquittoServer, flash: FlashFile, micropython: MicroPython
) -> None:
    """From power-on every key of the profile is told, within the sensors' resolution of what there was to measure."""
    seconds, report_s = RUNS[name]
    on = BOARDS.get(name, BOARD)
    options: dict[str, Any] = {"report_s": report_s, "start_unix_ms": START_MS, "stepped": True}
    with whole_node(program, flash, broker, name, on=on, **options) as node:
        board, city = node.board, node.city
        board.power_on()
        board.run_for(70)
        if name == "lighting":
            city.order("dim", "set", START_MS, output="lamp", value=60)
        board.run_for(seconds - 70)
        (boot,) = city.records
        every = report_s or node.profile["report_s"]
        city.wait_until(
            lambda: len(reports_of(list(city.records[boot].values()), node.profile, 0)) >= seconds // every
        )
        assert _wanted(node) <= _told(node), board.console.text
        _check(node, boot)
        if name == "lighting":
            city.wait_until(lambda: city.answers.get("dim") == "done")
            assert node.around.lamps["lamp"].level == pytest.approx(60, abs=0.01)


def test_air_over_tls_and_after_a_restart(
    program: Program, broker: MosquittoServer, flash: FlashFile, micropython: MicroPython
) -> None:
    """Dust, gases and weather are true over TLS; cells are told at once where only the program began anew.

    After power-on they need two hours, and until then nothing is told of them.
    """
    with whole_node(program, flash, broker, "air", tls=True, stepped=True) as node:
        board, city = node.board, node.city
        board.power_on()
        board.run_for(130)
        (first,) = city.records
        assert not any("electrode" in key for key in _told(node))
        city.order("again", "restart", node.around.world.unix_ms())
        board.run_for(140)
        city.wait_until(lambda: len(city.records) == 2)
        second = next(boot for boot in city.records if boot != first)
        city.wait_until(
            lambda: any("electrode_voltage_we:no2" in one["m"] for one in city.records[second].values())
        )
        assert _wanted(node) <= _told(node), board.console.text
        _check(node, first, cold=True)
        _check(node, second)
