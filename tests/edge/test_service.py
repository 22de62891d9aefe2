"""The gateway as a process: it begins, tells how it is, obeys the city, survives what is broken, and stops in order."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qytet.errors import ServerError
from qytet_edge import service, status
from qytet_edge.commands import app
from qytet_edge.config import read
from qytet_edge.gateway import Gateway
from qytet_edge.systemd import Systemd
from qytet_edge.uplink import Manners
from qytet_simulators.instruments.modbus_tcp import TcpServer
from qytet_simulators.instruments.modbus_unit import ModbusUnit
from tests.core.mqtt_client import Client
from tests.edge.chaos_gateway import GatewayProcess
from tests.edge.quick_time import quickly
from tests.servers.mosquitto import MosquittoServer

CONFIG = """
[gateway]
city = "tirana"
name = "gw-1"
data_dir = "data"
[uplink]
url = "mqtt://127.0.0.1:{port}"
password_file = "secret"
[spool]
commit_ms = 0
[clock]
trust = "host"
[health]
interval_s = 1
"""
BAD_SOURCES = """
[[source]]
kind = "modbus-tcp"
name = "bad-map"
host = "127.0.0.1"
unit = [{ address = 1, map = "there-is-none" }]

[[source]]
kind = "nodes"
name = "dead-broker"
url = "mqtt://127.0.0.1:9"
devices = ["*"]

[[source]]
kind = "file"
name = "air"
path = "air.csv"
poll_s = 0.05
column = [{ column = "pm2_5", key = "pm2_5" }]
"""

VALVE = """
[[output]]
kind = "modbus"
name = "valve"
host = "127.0.0.1"
tcp_port = {port}
unit = 9
address = 5
safe = 0
reports = "valve_position:inlet"
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """systemd's end of sd_notify."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(60)
        yield listener


def _configured(folder: Path, port: int = 9, more: str = "") -> Path:
    path = folder / "gw.toml"
    path.write_text(CONFIG.format(port=port) + more)
    (folder / "secret").write_text("unused")
    return path


def _start(path: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "qytet", "edge", "run", "--config", str(path)]
    environment = {**os.environ, "NOTIFY_SOCKET": str(path.parent / "notify"), "WATCHDOG_USEC": "600000"}
    with (path.parent / "log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=path.parent)


def _hear(manager: socket.socket, word: bytes) -> None:
    while word not in manager.recv(200):
        pass


def _forget(manager: socket.socket) -> None:
    """Take what waits: where only ten datagrams may, what the gateway says next would find no room."""
    patience = manager.gettimeout()
    manager.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            manager.recv(200)
    manager.settimeout(patience)


def test_begins_tells_and_stops_in_order(tmp_path: Path, manager: socket.socket) -> None:
    """It tells systemd when it is ready and while it is well, answers `status`, refuses a second one, and goes on with
    its numbers after SIGTERM."""
    path = _configured(tmp_path)
    boots = []
    for life in range(2):
        process = _start(path)
        try:
            _hear(manager, b"READY=1")
            _hear(manager, b"WATCHDOG=1")
            state = status.ask(tmp_path / "data")
            boots.append(state["gateway"]["boot"])
            assert state["spool"]["records"] >= life
            if life == 0:
                _check_commands(path, state)
                with (
                    pytest.raises(ServerError, match="running here already"),
                    service.claimed(tmp_path / "data"),
                ):
                    raise AssertionError("two gateways on one folder")
            _forget(manager)
            process.send_signal(signal.SIGTERM if life == 0 else signal.SIGINT)
            _hear(manager, b"STOPPING=1")
            assert process.wait(60) == 0, (tmp_path / "log").read_text()
        finally:
            process.kill()
            process.wait(20)
    assert boots[0] == boots[1]
    assert not (tmp_path / "data" / status.SOCKET).exists()
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said
    assert "unused" not in said


def _check_commands(path: Path, state: dict[str, Any]) -> None:
    """`qytet edge status` says the same for people and for programs."""
    run, given = CliRunner().invoke, ["--config", str(path)]
    told = run(app, ["status", *given])
    assert told.exit_code == 0, told.output
    assert f"boot {state['gateway']['boot']}" in told.output
    assert "not connected to 127.0.0.1:9" in told.output
    assert "health" in told.output
    again = json.loads(run(app, ["status", "--json", *given]).output)
    assert again["gateway"]["boot"] == state["gateway"]["boot"]
    assert again["sources"][-1]["name"] == "health"


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can leave files that their owner's service cannot write"
)
def test_root_leaves_no_files_in_anothers_folder(tmp_path: Path) -> None:
    """Started by root on the service's folder the gateway refuses, says whose it is, and has written nothing there."""
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, 65534, -1)
    with pytest.raises(ServerError, match="belongs to another user") as raised, service.claimed(folder):
        pass
    assert "sudo -u nobody" in raised.value.do
    assert list(folder.iterdir()) == []


def test_status_without_a_gateway(tmp_path: Path) -> None:
    """Asked while it does not run, the command says so, and what to do."""
    path = _configured(tmp_path)
    found = CliRunner().invoke(app, ["status", "--config", str(path)])
    assert isinstance(found.exception, ServerError)
    assert "systemctl status" in found.exception.do


def test_a_part_that_says_goodbye_is_not_interrupted() -> None:
    """Over a slow line the uplink's last words take seconds: they are said to the end, and the city does not hear
    that the gateway was lost."""
    longest_s, said = 2 * Manners().farewell_s, asyncio.Event()

    async def part() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(longest_s)
            said.set()

    async def main() -> None:
        async with service._working("uplink", service._kept("uplink", part)):
            await asyncio.sleep(1)

    quickly(main())
    assert said.is_set()


def _serve(path: Path, script: Callable[[Callable[[], dict[str, Any]]], Any], seconds: float = 60) -> None:
    """Run the gateway in this process beside a script, which may ask for its state; then stop it in order."""
    config = read(path)

    async def main() -> None:
        stop = asyncio.Event()
        with Systemd({}) as systemd, service.claimed(config.data_dir):
            serving = asyncio.create_task(service.serve(config, stop, systemd))
            try:
                async with asyncio.timeout(seconds):
                    await script(lambda: status.ask(config.data_dir))
            finally:
                stop.set()
                await serving

    asyncio.run(main())


async def _until(
    ask: Callable[[], dict[str, Any]], condition: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    while True:
        try:
            state = await asyncio.to_thread(ask)
        except ServerError:
            state = None
        if state is not None and condition(state):
            return state
        await asyncio.sleep(0.02)


def test_what_is_broken_stalls_nobody(tmp_path: Path) -> None:
    """With no city, no local broker, an unreadable password and a source that cannot be made, readings are taken, and
    status names each fault."""
    path = _configured(tmp_path, more=BAD_SOURCES)
    (tmp_path / "secret").unlink()
    (tmp_path / "air.csv").write_text("pm2_5\n1\n2\n")

    async def script(ask: Callable[[], dict[str, Any]]) -> None:
        state = await _until(ask, lambda state: _source(state, "air")["records"] == 2)
        state = await _until(ask, lambda state: _source(state, "dead-broker")["errors"] > 0)
        assert "there-is-none" in _source(state, "bad-map")["last_error"]
        assert "127.0.0.1:9" in _source(state, "dead-broker")["last_error"]
        assert any("password cannot be read" in event["event"] for event in state["events"])
        assert state["spool"]["records"] >= 3

    _serve(path, script)


def test_no_command_moves_an_output_that_was_made_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the gateway stops the city may still speak: a command that comes then is not carried out, and the valve
    stays in its safe state."""
    valve = ModbusUnit(9, {1: {5: 0}})
    made_safe = Gateway.close_outputs

    async def and_a_late_command(gateway: Gateway) -> None:
        await made_safe(gateway)
        await gateway.orders.take("late", _command("set", output="valve", value=1))
        await asyncio.wait({asyncio.create_task(_moved(valve))}, timeout=0.3)

    monkeypatch.setattr(Gateway, "close_outputs", and_a_late_command)

    async def main() -> None:
        async with _with_valve(tmp_path, valve, monkeypatch) as gateway:
            await gateway.orders.take("c1", _command("set", output="valve", value=1))
            await _moved(valve)
        assert valve.tables[1][5] == 0

    asyncio.run(main())


def test_what_the_city_sets_becomes_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An output that reports does so whoever moves it, also if no rule ever does, and its key is in the birth."""

    async def main() -> None:
        async with _with_valve(tmp_path, ModbusUnit(9, {1: {5: 0}}), monkeypatch) as gateway:
            assert "valve_position:inlet" in gateway.rules.streams["gw-1"]
            await gateway.orders.take("c1", _command("set", output="valve", value=1))
            said: list[Any] = []
            async with asyncio.timeout(60):
                while {"valve_position:inlet": 1} not in said:
                    await asyncio.sleep(0.01)
                    kept = await gateway.spool.read("gw-1", gateway.spool.boot, 0, 99, 99_999)
                    said = [json.loads(record.m) for record in kept]

    asyncio.run(main())


@asynccontextmanager
async def _with_valve(
    folder: Path, valve: ModbusUnit, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Gateway]:
    """A gateway at work that can move a valve."""
    found: asyncio.Future[Gateway] = asyncio.get_running_loop().create_future()

    async def opened(gateway: Gateway) -> None:
        found.set_result(gateway)

    monkeypatch.setattr(Gateway, "open_outputs", opened)
    async with TcpServer([valve]) as server:
        config, stop = read(_configured(folder, more=VALVE.format(port=server.port))), asyncio.Event()
        with Systemd({}) as systemd, service.claimed(config.data_dir):
            serving = asyncio.create_task(service.serve(config, stop, systemd))
            try:
                yield await asyncio.wait_for(found, 60)
            finally:
                stop.set()
                await serving


async def _moved(valve: ModbusUnit) -> None:
    while not valve.tables[1][5]:  # noqa: ASYNC110 (a valve tells nobody)
        await asyncio.sleep(0.01)


def _source(state: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [source for source in state["sources"] if source["name"] == name] or [
        {"records": -1, "errors": -1}
    ]
    return found


def test_obeys_the_city(tmp_path: Path, private_mosquitto: MosquittoServer) -> None:
    """A command comes from the city's broker, is accepted, carried out and answered; `restart` ends the process in
    order, for systemd to start it again."""
    path = _configured(tmp_path, private_mosquitto.port)
    private_mosquitto.add_users(["gw-1"])
    private_mosquitto.wait_for_user("gw-1")
    (tmp_path / "secret").write_text(private_mosquitto.password("gw-1"))
    own = "qytet/v1/tirana/gw-1"
    with Client(private_mosquitto, "ingest", "city") as city:
        for kind in ("ack/+", "state", "birth"):
            assert city.subscribe(f"{own}/{kind}")
        with GatewayProcess(path, tmp_path / "data", tmp_path / "log") as gateway:
            gateway.wait(lambda state: state["uplink"]["connected"], "it connects", 60)
            _tell(city, f"{own}/cmd/c1", "rebirth")
            assert _answers(city, "c1", 2) == ["accepted", "done"]
            _tell(city, f"{own}/cmd/c2", "fly")
            assert _answers(city, "c2", 1) == ["failed"]
            _tell(city, f"{own}/cmd/c3", "restart")
            assert _answers(city, "c3", 2) == ["accepted", "done"]
            _wait(lambda: gateway.exits == [0], "it ends in order, and is started again")
            gateway.wait(lambda state: state["uplink"]["connected"], "it is back", 60)
            assert gateway.stop(60) == 0, gateway.tail()
        _wait(lambda: _states(city).count("offline") == 2, "both lives end in order for the city, too")
        births = [topic for topic, _ in city.received if topic.endswith("/birth")]
        assert len(births) >= 3  # connected, asked, back
        assert _states(city)[-1] == "offline"


def _states(city: Client) -> list[str]:
    return [json.loads(payload)["s"] for topic, payload in list(city.received) if topic.endswith("/state")]


def _tell(city: Client, topic: str, name: str) -> None:
    city.mqtt.publish(topic, _command(name), 1).wait_for_publish(60)


def _command(name: str, **args: Any) -> bytes:
    payload = {"v": 1, "cmd": name, "exp": time.time_ns() // 1_000_000 + 60_000, "args": args}
    return json.dumps(payload).encode()


def _answers(city: Client, ident: str, count: int) -> list[str]:
    def found() -> list[str]:
        return [
            json.loads(payload)["s"] for topic, payload in city.received if topic.endswith(f"/ack/{ident}")
        ]

    _wait(lambda: len(found()) >= count, f"{count} answers to {ident}")
    return found()


def _wait(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
