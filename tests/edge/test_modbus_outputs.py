"""Outputs behind a Modbus line: what is set is what the unit holds, or an error says so."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from qytet_edge.inbox.modbus.source import ModbusSource
from qytet_edge.outputs import modbus as outputs
from qytet_simulators.instruments.modbus_rtu import RtuLine
from qytet_simulators.instruments.modbus_tcp import TcpServer
from qytet_simulators.instruments.modbus_unit import Fault, ModbusUnit
from tests.edge.modbus_support import BAUD, PATIENT, context, meter, play, rtu, unit
from tests.edge.recording_sink import RecordingSink, running


def _config(folder: Path, **more: Any) -> outputs.Config:
    table = {
        "kind": "modbus",
        "name": "valve",
        "port": str(folder / "port"),
        "baud": BAUD,
        "unit": 9,
        "address": 5,
    }
    return outputs.Config.model_validate({**table, "timeout_s": 0.15, "retries": 1, **more})


def _valve() -> ModbusUnit:
    return ModbusUnit(9, {1: {5: 0}, 3: {5: 0, 6: 0}})


def test_a_coil_is_switched_and_read_back(tmp_path: Path) -> None:
    """On and off reach the relay, and only then does `set` return."""

    async def work() -> None:
        valve = _valve()
        output = outputs.create(_config(tmp_path), context(tmp_path))
        async with RtuLine(tmp_path / "port", [valve]):
            await output.set(1)
            assert valve.tables[1][5] == 1
            await output.set(0)
            assert valve.tables[1][5] == 0
            await output.close()

    play(work())


@pytest.mark.parametrize(
    ("table", "value", "kept"),
    [
        ({"function": 6, "scale": 0.1}, 42.5, [425, 0]),
        ({"function": 16, "type": "f32", "order": "CDAB"}, 50, [0, 0x4248]),
        ({"function": 16, "type": "i32", "min": -5, "offset": -10}, -4, [0, 6]),
    ],
    ids=["one register", "float, words swapped", "offset"],
)
def test_a_value_is_written_as_the_unit_keeps_it(
    tmp_path: Path, table: dict[str, Any], value: float, kept: list[int]
) -> None:
    """Scale, offset, type and order are applied in reverse when a value is set."""

    async def work() -> None:
        valve = _valve()
        output = outputs.create(_config(tmp_path, **table), context(tmp_path))
        async with RtuLine(tmp_path / "port", [valve]):
            await output.set(value)
            assert [valve.tables[3][5], valve.tables[3][6]] == kept
            await output.close()

    play(work())


@pytest.mark.parametrize(
    ("fault", "frozen", "said"),
    [
        (Fault(silent=True), False, "unit 9 is silent"),
        (Fault(silent=True, echo=True), False, "holds 0"),
        (Fault(exception=4), False, "refuses"),
        (Fault(), True, "was set to 1, but unit 9 holds 0"),
    ],
    ids=["silent", "only echo", "refuses", "does not move"],
)
def test_what_did_not_move_is_never_said_to_have(
    tmp_path: Path, fault: Fault, frozen: bool, said: str
) -> None:
    """Silence, a refusal, an adapter's echo or a stuck valve end in an OSError that says so."""

    async def work() -> None:
        valve = _valve()
        valve.frozen = frozen
        valve.faults.extend([fault] * 8)
        if fault.echo:  # the write's echo looks like its answer: only reading back finds out
            valve.faults.clear()
            valve.faults.extend([fault, Fault(), fault, Fault()])
        output = outputs.create(_config(tmp_path), context(tmp_path))
        async with RtuLine(tmp_path / "port", [valve]):
            with pytest.raises(OSError, match=said):
                await output.set(1)
            await output.close()

    play(work())


def test_one_lost_answer_does_not_lose_a_command(tmp_path: Path) -> None:
    """A write whose answer was garbled is repeated."""

    async def work() -> None:
        valve = _valve()
        valve.faults.append(Fault(bad_checksum=True))
        output = outputs.create(_config(tmp_path), context(tmp_path))
        async with RtuLine(tmp_path / "port", [valve]):
            await output.set(1)
            await output.close()
        assert valve.tables[1][5] == 1

    play(work())


def test_values_out_of_bounds_and_a_missing_line_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be set raises an OSError with the reason, and nothing is sent."""
    monkeypatch.setattr("qytet_edge.outputs.modbus._OPEN_S", 0.2)

    async def work() -> None:
        output = outputs.create(_config(tmp_path), context(tmp_path))
        for value in (101, -1, float("nan")):
            with pytest.raises(OSError, match="valve takes 0 to 100"):
                await output.set(value)
        with pytest.raises(OSError, match="there is no port"):
            await output.set(1)
        await output.close()

    play(work())


def test_an_output_shares_the_line_with_a_source_and_ends_safe(tmp_path: Path) -> None:
    """A valve on the meters' line is moved while they are read, and left in its safe state at the end."""

    async def work() -> None:
        sink = RecordingSink()
        shared = context(tmp_path)
        valve = _valve()
        made = ModbusSource(rtu(tmp_path, [unit(1)], **PATIENT), shared)
        output = outputs.create(_config(tmp_path, safe=0, **PATIENT), shared)
        assert output.bus is made.bus
        async with RtuLine(tmp_path / "port", [meter(1), valve]), running(made, sink):
            for turn in range(6):
                await output.set(turn % 2 == 0)
                await sink.until(lambda turn=turn: len(sink.readings) > turn)
            await output.set(1)
            await output.close()
            assert valve.tables[1][5] == 0
        assert sink.troubles == []

    play(work())


def test_an_output_behind_a_server(tmp_path: Path) -> None:
    """The same output works over Modbus TCP, and its probe reads without moving anything."""

    async def work() -> None:
        valve = _valve()
        async with TcpServer([valve]) as server:
            config = _config(tmp_path, port="", host="127.0.0.1", tcp_port=server.port)
            output = outputs.create(config, context(tmp_path))
            await output.set(1)
            written = list(valve.writes)
            found = await outputs.probe(config, context(tmp_path))
            await output.close()
        assert valve.tables[1][5] == 1
        assert found[0].state == "ok"
        assert valve.writes == written

    play(work())


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"host": "10.0.0.1"}, "either port or host"),
        ({"port": ""}, "either port or host"),
        ({"function": 6, "type": "f32"}, "use 16"),
        ({"safe": 500}, "safe must lie"),
        ({"scale": 0}, "scale must not be 0"),
    ],
)
def test_a_contradictory_output_is_refused(tmp_path: Path, table: dict[str, Any], said: str) -> None:
    """A table that cannot be meant is an error before anything is opened."""
    with pytest.raises(ValidationError, match=said):
        _config(tmp_path, **table)
