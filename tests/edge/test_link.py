"""The simulated line: what it delays, holds, breaks and refuses, and that it never loses or reorders a byte."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from qytet.embedded.ports import LOOPBACK
from qytet_simulators.instruments.link import CLEAR, Conditions, Link, ThreadedLink
from tests.edge.quick_time import quickly


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that sends back what it gets; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, LOOPBACK, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def exchange(port: int, data: bytes) -> bytes:
    """Send everything while reading everything, then end in order."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)

    async def send() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    try:
        _, back = await asyncio.gather(send(), reader.read(-1))
    finally:
        writer.close()
        await writer.wait_closed()
    return back


def test_every_byte_arrives_in_order_over_the_worst_line() -> None:
    """Jitter, loss and latency change when bytes arrive, never which or in what order; the end passes too."""

    async def run() -> None:
        data = random.Random(3).randbytes(300_000)
        line = Conditions(latency_s=0.01, jitter_s=0.02, loss=0.02, bytes_per_s=2_000_000)
        async with echo() as port, Link(LOOPBACK, port, conditions=line, seed=1) as link:
            async with asyncio.timeout(90):
                backs = await asyncio.gather(exchange(link.port, data), exchange(link.port, data[::-1]))
            assert backs == [data, data[::-1]]
            assert link.tolls[:3] == (2, 0, 0)
            assert (link.tolls.up, link.tolls.down) == (600_000, 600_000)

    asyncio.run(run())


def test_latency_and_bandwidth_take_their_time() -> None:
    """A round trip takes twice the latency, and bytes take their share of the bandwidth, both ways."""

    async def run() -> None:
        async with echo() as port, Link(LOOPBACK, port, conditions=Conditions(latency_s=0.1)) as link:
            clock = asyncio.get_running_loop().time
            start = clock()
            await exchange(link.port, b"x")
            assert clock() - start == pytest.approx(0.2, abs=0.01)
            link.conditions = Conditions(bytes_per_s=100_000)
            start = clock()
            await exchange(link.port, bytes(20_000))
            assert 0.2 <= clock() - start <= 0.4 + 0.01, "both ways at once, or one after the other"

    quickly(run(), grace_s=0.04)


def test_the_same_seed_is_the_same_line() -> None:
    """Delays follow from the seed alone, so that a failure can be played again."""

    async def delays(seed: int) -> list[float]:
        link = Link(LOOPBACK, 1, conditions=Conditions(jitter_s=10, loss=0.5), seed=seed)
        async with link:
            now = asyncio.get_running_loop().time()
            return [link.arrival(0, 1000) - now for _ in range(20)]

    first, again, other = (quickly(delays(seed)) for seed in (1, 1, 2))
    assert first == pytest.approx(again)
    assert first != pytest.approx(other, abs=0.2)


def test_a_stalled_line_holds_back_and_loses_nothing() -> None:
    """While stalled nothing passes and connections stand; after it everything arrives; what it holds is bounded."""

    async def run() -> None:
        async with echo() as port, Link(LOOPBACK, port) as link:
            reader, writer = await asyncio.open_connection(LOOPBACK, link.port)
            writer.write(b"before")
            assert await reader.readexactly(6) == b"before"
            link.stall()
            writer.write(bytes(60_000_000))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await writer.drain()  # the line pushes back instead of swallowing 60 MB
            assert link.tolls.up == 6
            link.resume()
            async with asyncio.timeout(90):
                assert await reader.readexactly(60_000_000) == bytes(60_000_000)
            writer.close()
            await writer.wait_closed()

    asyncio.run(run())


def test_a_cut_resets_both_ends_and_new_connections_pass() -> None:
    """After a cut the client sees an error, not an orderly end, and may connect again at once."""

    async def run() -> None:
        async with echo() as port, Link(LOOPBACK, port) as link:
            reader, writer = await asyncio.open_connection(LOOPBACK, link.port)
            writer.write(b"x")
            await reader.readexactly(1)
            assert link.cut() == 1
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
            assert await exchange(link.port, b"again") == b"again"
            assert link.tolls.cut == 1

    asyncio.run(run())


def test_a_refusing_line_keeps_its_port_and_accepts_again() -> None:
    """Refused means refused at connect, nobody else can take the port meanwhile, and `accept` opens it again."""

    async def run() -> None:
        async with echo() as port, Link(LOOPBACK, port) as link:
            for _ in range(2):
                link.refuse()
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection(LOOPBACK, link.port)
                with socket.socket() as other, pytest.raises(OSError, match="in use"):
                    other.bind((LOOPBACK, link.port))
                await link.accept()
                assert await exchange(link.port, b"again") == b"again"

    asyncio.run(run())


def test_an_absent_server_is_a_closed_connection() -> None:
    """If the server behind the line is down, connections end at once and the line goes on."""

    async def run() -> None:
        with socket.socket() as nobody:
            nobody.bind((LOOPBACK, 0))  # it is ours, and nobody listens there
            await unanswered(nobody.getsockname()[1])

    async def unanswered(port: int) -> None:
        async with Link(LOOPBACK, port) as link:
            reader, writer = await asyncio.open_connection(LOOPBACK, link.port)
            async with asyncio.timeout(90):
                assert await reader.read() == b""
            writer.close()
            assert link.tolls.refused == 1

    asyncio.run(run())


def test_nonsense_is_no_line() -> None:
    """Negative delays and a loss of everything are refused, not simulated as something else."""
    for wrong in ({"latency_s": -1}, {"loss": 1.0}, {"bytes_per_s": -5}):
        with pytest.raises(ValueError, match="cannot behave"):
            Conditions(**wrong)


def test_a_thread_can_do_the_same() -> None:
    """Callers without an event loop have the same switches."""

    async def hold(port_known: "asyncio.Future[int]", done: asyncio.Event) -> None:
        async with echo() as port:
            port_known.set_result(port)
            await done.wait()

    async def run() -> None:
        known: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done = asyncio.Event()
        server = asyncio.create_task(hold(known, done))
        port = await known
        await asyncio.to_thread(use, port)
        done.set()
        await server

    def use(port: int) -> None:
        with ThreadedLink(LOOPBACK, port, conditions=CLEAR) as link:
            with socket.create_connection((LOOPBACK, link.port), timeout=90) as sock:
                sock.sendall(b"hello")
                assert sock.recv(5) == b"hello"
                link.behave(Conditions(latency_s=0.05))
                link.stall()
                link.resume()
                assert link.cut() == 1
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)
            link.refuse()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((LOOPBACK, link.port), timeout=90)
            link.accept()
            assert link.tolls.connections == 1

    asyncio.run(run())
