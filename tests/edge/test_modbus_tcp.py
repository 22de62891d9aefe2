"""The Modbus TCP source against a simulated server: cut and refused connections, late and garbled answers."""

import asyncio
import socket
import threading
import time
from pathlib import Path

import pytest

from qytet_edge.inbox.modbus.connection import Connection
from qytet_edge.inbox.modbus.line import TcpLine
from qytet_simulators.instruments.modbus_tcp import TcpServer
from qytet_simulators.instruments.modbus_unit import Fault
from tests.edge.modbus_support import VOLTS, WATTS, meter, play, source, tcp, unit
from tests.edge.recording_sink import RecordingSink, running

TRUTH = {"grid_phase_voltage": VOLTS, "grid_active_power": WATTS / 1000}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(), ""),
        (Fault(silent=True), "unit 1 is silent"),
        (Fault(before=b"\xde\xad\xbe\xef"), "no answer"),
        (Fault(cut=9), "no answer"),
        (Fault(wrong_unit=7), "unit 7 answered"),
        (Fault(exception=11), "the Modbus gateway at 127.0.0.1"),
        (Fault(exception=4), "it failed inside"),
    ],
    ids=["well", "silence", "garbage", "cut", "wrong unit", "unit behind is silent", "refusal"],
)
def test_each_fault_of_a_server_is_told_and_passes(tmp_path: Path, fault: Fault, said: str) -> None:
    """Whatever a server answers, nothing false is stored, the trouble is named, and reading goes on."""

    async def work() -> None:
        sink = RecordingSink()
        faulty = meter(1)
        faulty.faults.extend([fault] * 2)
        async with (
            TcpServer([faulty]) as server,
            running(source(tcp(tmp_path, server.port, [unit(1)]), tmp_path), sink),
        ):
            if said:
                await sink.until(lambda: bool(sink.troubles))
            await sink.until(lambda: len(sink.readings) >= 2)
        assert all(reading.values == TRUTH for reading in sink.readings)
        assert [what for what in sink.troubles if said not in what] == []

    play(work())


def test_a_late_answer_is_passed_over_by_its_number(tmp_path: Path) -> None:
    """An answer that comes after its time-out is never taken for that of the next question."""

    async def work() -> None:
        sink = RecordingSink()
        slow = meter(1)
        told = iter(range(1, 1000))
        slow.tables[4][0] = lambda: 0x4300 + next(told)
        slow.faults.append(Fault(delay_s=0.15))
        async with (
            TcpServer([slow]) as server,
            running(source(tcp(tmp_path, server.port, [unit(1)], retries=3), tmp_path), sink),
        ):
            await sink.until(lambda: len(sink.readings) >= 3)
        volts = [reading.values["grid_phase_voltage"] for reading in sink.readings]
        assert len(set(volts)) == len(volts)

    play(work())


def test_an_answer_that_came_while_the_machine_stood_still_is_no_silence() -> None:
    """The time to answer runs out while the process stands still, and the answer lies in the port: it counts."""
    standing, answered = threading.Event(), threading.Event()

    def serve(listener: socket.socket) -> None:
        link, _ = listener.accept()
        with link:
            asked = link.recv(12)
            assert standing.wait(60)
            link.sendall(asked[:4] + b"\x00\x05" + asked[6:8] + b"\x02\x00\x2a")
            answered.set()
            link.recv(1)  # until the other side closes it

    def stand_still() -> None:
        standing.set()
        assert answered.wait(60)

    async def ask(port: int) -> list[int]:
        life = Connection(TcpLine("127.0.0.1", port, "tcp"))
        assert await life.opened() == ""
        try:
            loop = asyncio.get_running_loop()
            loop.call_later(0.01, time.sleep, 0.1)  # so that the next two come in one turn, the time-out last
            loop.call_later(0.02, stand_still)
            answer = await life.asked(1, lambda client: client.read_holding_registers(0, device_id=1), 0.05)
            return list(answer.registers)
        finally:
            life.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        assert asyncio.run(ask(listener.getsockname()[1])) == [42]
        server.join()


def test_a_cut_connection_and_a_dead_server_are_outlived(tmp_path: Path) -> None:
    """After a reset, and after a time with nobody listening, readings go on by themselves."""

    async def work() -> None:
        sink = RecordingSink()
        async with TcpServer([meter(1)]) as server:
            made = source(tcp(tmp_path, server.port, [unit(1)]), tmp_path)
            async with running(made, sink) as task:
                await sink.until(lambda: bool(sink.readings))
                server.cut()
                count = len(sink.readings)
                await sink.until(lambda: len(sink.readings) >= count + 2)
                await server.stop()
                sink.troubles.clear()
                await sink.until(lambda: any("no Modbus server answers" in what for what in sink.troubles))
                await server.start()
                count = len(sink.readings)
                await sink.until(lambda: len(sink.readings) >= count + 2)
                assert not task.done()
        assert all(reading.values == TRUTH for reading in sink.readings)

    play(work())


def test_a_server_that_stays_deaf_gets_a_new_connection(tmp_path: Path) -> None:
    """A connection on which nobody answers any more (an instrument that was reset) is opened anew."""

    async def work() -> None:
        sink = RecordingSink()
        deaf = meter(1)
        deaf.faults.extend([Fault(silent=True)] * 5)
        async with TcpServer([deaf]) as server:
            async with running(source(tcp(tmp_path, server.port, [unit(1)], timeout_s=0.05), tmp_path), sink):
                await sink.until(lambda: bool(sink.readings))
            assert server.connections == 2

    play(work())


def test_a_server_that_closes_at_once_is_not_hammered(tmp_path: Path) -> None:
    """An instrument that takes the connection and drops it is tried at growing pauses, without spinning."""

    async def work() -> None:
        sink = RecordingSink()
        taken = 0

        async def drop(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal taken
            taken += 1
            writer.transport.abort()

        server = await asyncio.start_server(drop, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, running(source(tcp(tmp_path, port, [unit(1)]), tmp_path), sink):
            await sink.until(lambda: taken >= 3 and len(sink.troubles) >= 3)
        assert taken <= 4
        assert len(sink.troubles) <= 60

    play(work())
