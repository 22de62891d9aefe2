"""The node's application as a whole, in the VM at the ESP32's heap, against a real broker that speaks TLS."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from qytet_bench.program import build
from qytet_contract import notices, records
from tests.firmware.device import CONTRACT, DEVICE, run
from tests.firmware.test_network import _files, _honest, _time_server
from tests.firmware.test_uplink import NODE, City
from tests.servers.micropython import MicroPython
from tests.servers.mosquitto import MosquittoServer

VM = Path(__file__).parent / "vm"


@pytest.fixture
def broker(mosquitto_tls: MosquittoServer) -> MosquittoServer:
    """A broker with TLS that knows the node."""
    mosquitto_tls.add_users([NODE])
    mosquitto_tls.wait_for_user(NODE)
    return mosquitto_tls


class Node:
    """A node's folders; `live` runs the application until it is told to end, beside what the city does meanwhile."""

    def __init__(
        self, vm: MicroPython, broker: MosquittoServer, folder: Path, time_server: str, profile: str
    ) -> None:
        self._vm, self._folder = vm, folder
        assert broker.authority is not None
        self._etc = _files(folder / "etc", broker.authority)
        settings = {
            "v": 1,
            "city": "tirana",
            "device": NODE,
            "profile": profile,
            "board": "esp32-devkitc",
            "wifi": {"ssid": "city", "password": "12345678"},
            "broker": {
                "host": "127.0.0.1",
                "port": broker.tls_port,
                "tls": True,
                "name": "localhost",
                "user": NODE,
                "password": broker.password(NODE),
            },
            "ntp": [time_server],
            "report_s": 1,
        }
        (self._etc / "node.json").write_text(json.dumps(settings))

    def live(
        self,
        city: Callable[[], None],
        *,
        program: Sequence[Path] = (DEVICE, CONTRACT),
        heap: str = "400wK",
        **given: Any,
    ) -> Any:
        """What the life said."""
        whole = {"root": str(DEVICE), "etc": str(self._etc), "data": str(self._folder / "data"), "cause": 1}
        settings = self._folder / "life.json"
        settings.write_text(json.dumps(whole | given))
        code = VM / "whole_node.py"
        with ThreadPoolExecutor(1) as pool:
            path = [VM, *program]
            life = pool.submit(self._vm.run, code, str(settings), path=path, heap=heap, timeout=180)
            try:
                city()
            finally:
                if life.done():  # it ended by itself: what it said is worth more than what did not come
                    said = life.result().stdout.decode(errors="replace")
                    assert "Traceback" not in said, said
            done = life.result()
        said = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{said}\n{done.stderr.decode(errors='replace')}"
        return json.loads(said.splitlines()[-1])


def _order(city: City, ident: str, name: str, **args: Any) -> None:
    exp = int(time.time() * 1000) + 60_000
    payload = json.dumps({"v": 1, "cmd": name, "exp": exp, "args": args})
    city.mqtt.publish(f"qytet/v1/tirana/{NODE}/cmd/{ident}", payload, 1).wait_for_publish(10)


def _acks(city: City) -> dict[str, str]:
    """The last answer to each command."""
    found = {}
    for topic, payload in list(city.received):
        if "/ack/" in topic:
            notices.check_ack(json.loads(payload))
            found[topic.rsplit("/", 1)[1]] = json.loads(payload)["s"]
    return found


def test_a_lamp_from_power_on_to_restart(
    micropython: MicroPython, broker: MosquittoServer, tmp_path: Path
) -> None:
    """It gets the time, is born over TLS, reports, tells its health, obeys, restarts, and knows its orders afterwards.

    All sensors are absent: they are counted and logged, and stop nothing.
    """
    with City(broker) as city, _time_server(_honest) as clock:
        city.subscribe(f"qytet/v1/tirana/{NODE}/ack/+")
        node = Node(micropython, broker, tmp_path, clock, "lighting")

        def first() -> None:
            city.wait_until(lambda: any("uptime" in m for m in _measured(city)))
            _order(city, "one", "set", output="lamp", value=40)
            _order(city, "two", "schedule", output="lamp", schedule={"steps": [["00:00", 0, 70]]})
            _order(city, "bad", "set", output="fountain", value=40)
            _order(city, "again", "rebirth")
            _order(city, "how-often", "interval", report_s=2)
            city.wait_until(lambda: {"one", "two", "bad", "again", "how-often"} <= set(_acks(city)))
            city.wait_until(lambda: any("sensor " in line["msg"] for line in city.of("log")))
            _order(city, "r", "restart")

        def second() -> None:
            city.wait_until(lambda: _acks(city).get("r") == "done")
            city.wait_until(lambda: {"lamp_dimming_level": 70} in _measured(city))  # sent before, or now
            _order(city, "end", "rebirth")
            city.wait_until(lambda: _acks(city).get("end") == "done")

        before = node.live(first)
        after = node.live(second, cause=5, rtc_ms=int(time.time() * 1000))
    states = {
        "one": "done",
        "two": "done",
        "bad": "failed",
        "again": "done",
        "how-often": "done",
        "r": "done",
        "end": "done",
    }
    assert _acks(city) == states
    assert (before["resets"], after["resets"]) == (1, 0)
    assert before["fed"] > 0
    assert abs(before["rtc_set"] - time.time() * 1000) < 60_000, "the chip's clock was set for the next start"
    assert before["duty"]["out1"] == after["duty"]["out1"] == 45875, "the schedule is followed at once"
    births = city.of("birth")
    for birth in births:
        notices.check_birth(birth)
    assert len(births) >= 3, "one a connection, and one for rebirth"
    announced = {key for key, _ in births[0]["ds"]}
    for obs in city.of("obs"):
        records.check_obs(obs)
    for m in _measured(city):
        assert set(m) <= announced
    health = next(m for m in _measured(city, before["boot"]) if "uptime" in m)
    assert health["reset_cause"] == 1
    assert health["sensor_errors_total:light"]
    assert {"lamp_dimming_level": 70} in _measured(city)
    assert any("sensor " in line["msg"] for line in city.of("log"))
    for line in city.of("log"):
        notices.check_log(line)
    assert not any(broker.password(NODE) in line for line in before["lines"] + after["lines"])


def _measured(city: City, boot: str = "") -> list[dict[str, float | None]]:
    """Of all boots, or of one; what was made before there was a connection comes as `hist`."""
    found = [obs["m"] for obs in city.of("obs") if boot in ("", obs["boot"])]
    return found + [row[4] for hist in city.of("hist") if boot in ("", hist["boot"]) for row in hist["r"]]


def _installed(folder: Path) -> Path:
    """The program as it lies on a board."""
    for name, content in build().slot.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_the_program_of_a_board_does_the_same(
    micropython: MicroPython, broker: MosquittoServer, tmp_path: Path
) -> None:
    """Compiled, with cheap names, on a heap of 110 KB: the air station is born over TLS, reports and obeys."""
    with City(broker) as city, _time_server(_honest) as clock:
        city.subscribe(f"qytet/v1/tirana/{NODE}/ack/+")
        node = Node(micropython, broker, tmp_path, clock, "air")

        def meanwhile() -> None:
            city.wait_until(lambda: any("uptime" in m for m in _measured(city)))
            _order(city, "end", "rebirth")
            city.wait_until(lambda: _acks(city).get("end") == "done")

        node.live(meanwhile, program=[_installed(tmp_path / "program")], heap="110wK")
    assert len(city.of("birth")) == 2
    for message in city.of("birth"):
        notices.check_birth(message)


_APP = """
import asyncio, json
from qytet_node import health
class App:
    # Its own backlog, hardware, clock, line, sampler and journal.
    sensors, lines, resets, steps, damaged, online, speaks_up, why = [], [], 0, 2, 1, True, False, ""
    drift_ppm = -140.6
    def __init__(self):
        self.backlog = self.hardware = self.clock = self.uplink = self.sampler = self.journal = self
    def warning(self, text):
        self.lines.append(text)
    error = warning
    def close(self):
        raise OSError(28)
    def reset(self):
        self.resets += 1
app = App()
"""


def test_a_full_flash_keeps_no_node_from_its_restart(micropython: MicroPython) -> None:
    """What cannot be written down at the end is not worth staying for."""
    code = "asyncio.run(health.restart(app, 'ordered'))\nprint(json.dumps([app.resets, app.lines]))"
    assert run(micropython, _APP + code) == [[1, ["restart: ordered"]]]


def test_what_happened_in_silence_is_told_once(micropython: MicroPython) -> None:
    """The city learns from the log that a clock jumped or flash rotted; the next look has nothing new to say."""
    code = "health.tell_troubles(app)\nhealth.tell_troubles(app)\nprint(json.dumps(app.lines))"
    assert run(micropython, _APP + code) == [
        [
            "the clock stepped: 2 times by more than 2 s",
            "the clock drifts by -140 ppm",
            "damaged on flash: 1 files of the backlog",
        ]
    ]
