"""What the gateway's pages show works: configurations, the register map on a simulated line, and terminal pictures."""

import asyncio
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qytet.db.registry import parse
from qytet.settings import LogSettings
from qytet_edge import config as configuration
from qytet_edge.clock import Clock, ClockConfig
from qytet_edge.gateway import Gateway, identity
from qytet_edge.inbox import kinds, modbus
from qytet_edge.inbox.kinds import Context
from qytet_edge.show import show_status
from qytet_edge.spool import Limits, Spool
from qytet_edge.update import trial
from qytet_simulators.instruments.modbus_rtu import RtuLine
from qytet_simulators.instruments.modbus_unit import ModbusUnit, put_float
from tests.docs.markdown import ROOT, Block, blocks
from tests.edge.recording_sink import RecordingSink, running

TUTORIAL = ROOT / "docs/tutorials/new-gateway.md"
INSTRUMENT = ROOT / "docs/how-to/add-an-instrument.md"
UPDATE = ROOT / "docs/how-to/update-a-gateway.md"
REFERENCE = ROOT / "docs/reference/gateway.md"
HEAD = '[gateway]\ncity = "korce"\nname = "korce-gateway-01"\n[uplink]\nurl = "mqtts://broker.example:8883"\n'


def marked(page: Path, mark: str) -> Block:
    """The one block of a page with this mark."""
    (found,) = [block for block in blocks(page) if mark in block.marks]
    return found


def registered(page: Path) -> dict[str, list[str]]:
    """Keys by device, as the page has them registered."""
    described = parse(marked(page, "register").text.encode())
    return {device.device: list(device.datastreams) for device in described.devices}


def test_the_tutorial_s_configuration_makes_what_it_registers(tmp_path: Path) -> None:
    """The tutorial's configuration is right, and its devices have exactly the keys that the tutorial registers."""
    text = marked(TUTORIAL, "gateway").text
    config = configuration.load(text + '[health]\n[log]\nlevel = "info"\n', tmp_path / "qytet-edge.toml")

    async def streams() -> dict[str, list[str]]:
        clock = Clock(ClockConfig(trust="host"))
        limits = Limits(bytes=1 << 20, age_s=3600)
        async with Spool(tmp_path / "spool.db", limits, stamp=lambda: (None, "none")) as spool:
            return dict(identity(config, Gateway(config, clock, spool, {}).sources).streams)

    made = asyncio.run(streams())
    assert {device: set(keys) for device, keys in made.items()} == {
        device: set(keys) for device, keys in registered(TUTORIAL).items()
    }


def test_the_tutorial_s_picture_is_what_status_shows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status that the tutorial shows is what the program writes for such a gateway."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = marked(TUTORIAL, "status").text.splitlines()
    values = {"grid_active_power": 0.296, "grid_current": 1.32}
    device = {"values": values, "seen_s": 4, "errors": 0, "last_error": ""}
    source = {
        "name": "meters",
        "state": "running",
        "restarts": 0,
        "errors": 0,
        "last_error": "",
        "detail": {},
    }
    state: dict[str, Any] = {
        "gateway": {
            "name": "durres-gateway-01",
            "city": "durres",
            "version": "0.1.0",
            "boot": "1a384455",
            "running_s": 240,
        },
        "clock": {"tq": "ntp", "source": "chrony", "offset_s": 0.002},
        "uplink": {
            "connected": True,
            "broker": "mqtt.durres.example:8883",
            "since_s": 240,
            "last_mark_s": 5,
            "refusal": "",
            "unconfirmed": [],
        },
        "spool": {
            "records": 0,
            "bytes": 0,
            "limit_bytes": 2 << 30,
            "oldest_age_s": None,
            "dropped": 0,
            "full_since_ms": None,
            "set_aside": [],
        },
        "sources": [source | {"waiting_for_disk": False, "devices": {"durres-meter-01": device}}],
        "rules": [],
        "outputs": [],
        "events": [],
    }
    show_status(state)
    assert capsys.readouterr().out.splitlines() == shown[1:]


def test_the_example_map_is_polled_as_the_page_says(tmp_path: Path) -> None:
    """The how-to's map and source, on a simulated line, make the readings that the how-to registers, in its units."""
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/filter-station.toml").write_text(marked(INSTRUMENT, "map").text, encoding="utf-8")
    text = marked(INSTRUMENT, "source").text
    assert configuration.load(HEAD + text, tmp_path / "qytet-edge.toml").sources

    (table,) = tomllib.loads(text)["source"]
    table["port"] = str(tmp_path / "port")
    table["unit"][0]["every_s"] = 0.05
    config = modbus.RtuConfig.model_validate(table)
    context = Context(city="korce", gateway="korce-gateway-01", folder=tmp_path, data_dir=tmp_path)
    registers: dict[int, Any] = dict.fromkeys(range(10, 20), 0) | {10: 173, 11: 0x7FFF}
    floats: dict[int, Any] = {}
    put_float(floats, {14: 12.5})
    registers |= {14: floats[15], 15: floats[14]}  # CDAB: the words change places
    sink = RecordingSink()

    async def poll() -> None:
        source = modbus.create(config, context)
        assert {device: list(keys) for device, keys in source.streams.items()} == registered(INSTRUMENT)
        unit = ModbusUnit(table["unit"][0]["address"], {3: registers})
        async with RtuLine(tmp_path / "port", [unit]), running(source, sink):
            await sink.until(lambda: bool(sink.readings))

    asyncio.run(poll())
    reading = sink.readings[0]
    assert reading.device == "korce-filter-01"
    assert reading.values == {
        "water_temperature:inlet": pytest.approx(17.3),
        "water_temperature:outlet": None,
        "water_flow_rate": 12.5,
    }


def test_the_page_about_updates_knows_the_numbers() -> None:
    """Starts and minutes of a trial are what the program gives."""
    text = UPDATE.read_text(encoding="utf-8")
    assert f"within {trial.STARTS} starts or {trial.CHECKS} minutes" in text


@pytest.fixture
def edge_page() -> Iterator[Any]:
    """The generator of the reference."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import edge_page

        yield edge_page
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_the_reference_is_the_code_s(edge_page: Any) -> None:
    """The committed reference has every table, kind and field, with the defaults of the code."""
    page = REFERENCE.read_text(encoding="utf-8")
    assert page.split("<!-- generated -->\n")[1] == edge_page.page()
    for kind in (*kinds.SOURCES, *kinds.OUTPUTS):
        assert f'`kind = "{kind}"`' in page


def test_every_field_is_described(edge_page: Any) -> None:
    """No field of the configuration is without a sentence that says what it means."""
    for heading, model in edge_page.tables():
        for name, field in model.model_fields.items():
            assert field.description or name == "kind", f"{heading}: {name} has no description"


def test_the_log_s_settings_are_shared() -> None:
    """The gateway's [log] is the platform's."""
    assert configuration.SECTIONS["log"] is LogSettings


def test_json_on_the_pages_is_whole() -> None:
    """Each device that a page registers behind a gateway names it."""
    for page in (TUTORIAL, INSTRUMENT):
        for device in json.loads(marked(page, "register").text)["devices"]:
            assert device["profile"] == "gateway" or device["gateway"].endswith("-gateway-01")
