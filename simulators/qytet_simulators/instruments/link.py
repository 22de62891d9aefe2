"""A bad line between two programs: a TCP proxy with latency, jitter, loss, little bandwidth, stalls and cuts.

    async with Link("127.0.0.1", broker_port, conditions=MODEM, seed=7) as link:
        ...connect to 127.0.0.1:link.port...
        link.stall()          nothing passes, connections stand (a dead radio link)
        link.resume()
        link.cut()            every connection is reset
        link.refuse()         as cut, and new connections are refused until `accept`

Bytes are never lost nor reordered within a connection, as TCP sees to that: loss shows as the time that its
repetition takes. What a connection holds is bounded, so a stalled line pushes back on whoever writes.
`ThreadedLink` is the same for a caller without an event loop.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

__all__ = ["CLEAR", "MODEM", "Conditions", "Link", "ThreadedLink", "Tolls"]

SEGMENT = 1460  # bytes, what one Ethernet frame carries
MOST_HELD = 64  # reads on their way in one direction of one connection
FIRST_REPEAT_S = 0.2  # Linux's least retransmission timeout, doubled for each repetition (RFC 6298)
_Answer = TypeVar("_Answer")
_LATEST_S = 90.0  # that a thread waits for its loop, which does at once what it is told
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing says RST


@dataclass(frozen=True, slots=True)
class Conditions:
    """How a line behaves, each way: seconds one way, bytes a second (0: unlimited), share of segments lost."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0
    loss: float = 0.0

    def __post_init__(self) -> None:
        if min(self.latency_s, self.jitter_s, self.bytes_per_s) < 0 or not 0 <= self.loss < 1:
            raise ValueError(f"a line cannot behave like {self}")


CLEAR = Conditions()
MODEM = Conditions(latency_s=0.12, jitter_s=0.08, bytes_per_s=12_000, loss=0.01)
"""A 2G/NB modem at the edge of its cell."""


class Tolls(NamedTuple):
    """What has passed: connections, refusals, bytes towards the server (up) and back (down)."""

    connections: int
    refused: int
    cut: int
    up: int
    down: int


class _Parcel(NamedTuple):
    """Bytes (none: the end of this direction) that may arrive at a loop time."""

    due: float
    data: bytes


class Link:
    """A proxy from a free loopback port to a server; an async context manager.

    Its methods belong to the event loop's thread. `conditions` may be changed at any time.
    """

    def __init__(
        self, host: str, port: int, *, conditions: Conditions = CLEAR, seed: object = 0, listen_port: int = 0
    ) -> None:
        self.conditions = conditions
        self.dice = random.Random(str(seed))
        self._target = (host, port)
        self._claim = _claimed(listen_port)
        self._server: asyncio.Server | None = None
        self._passing = asyncio.Event()
        self._passing.set()
        self._calls: dict[asyncio.Task[None], _Call] = {}
        self._connections = self._refused = self._cut = 0
        self._bytes = [0, 0]
        self._road_free = [0.0, 0.0]

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._claim.close()

    @property
    def port(self) -> int:
        """The loopback port to connect to; the link's own until it is closed, also while it refuses."""
        return int(self._claim.getsockname()[1])

    @property
    def open(self) -> int:
        """Connections that stand."""
        return len(self._calls)

    @property
    def tolls(self) -> Tolls:
        """What has passed so far."""
        return Tolls(self._connections, self._refused, self._cut, self._bytes[0], self._bytes[1])

    def stall(self) -> None:
        """Let nothing through; connections stand, and new ones are taken without a word."""
        self._passing.clear()

    def resume(self) -> None:
        """Let everything through again, what was held first."""
        self._passing.set()

    def cut(self) -> int:
        """Reset every connection, losing what was on its way; returns how many."""
        calls = list(self._calls.items())
        for task, call in calls:
            call.abort()
            task.cancel()
        self._cut += len(calls)
        return len(calls)

    def refuse(self) -> None:
        """Cut, and refuse new connections until `accept`."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.cut()

    async def accept(self) -> None:
        """Take connections (again)."""
        if self._server is None:
            listener = _claimed(self.port)
            self._server = await asyncio.start_server(self._serve, sock=listener, limit=SEGMENT * 16)

    def arrival(self, way: int, size: int) -> float:
        """The loop time at which `size` bytes that set out now arrive, with this line's luck."""
        now, line = asyncio.get_running_loop().time(), self.conditions
        start = max(now, self._road_free[way])
        if line.bytes_per_s:
            start += size / line.bytes_per_s
        self._road_free[way] = start
        delay = line.latency_s + self.dice.random() * line.jitter_s
        for _ in range(-(-size // SEGMENT) if line.loss else 0):
            wait = FIRST_REPEAT_S
            while self.dice.random() < line.loss:
                delay, wait = delay + wait, wait * 2
        return start + delay

    async def passing(self) -> None:
        """Wait until the line is not stalled."""
        await self._passing.wait()

    def passed(self, way: int, size: int) -> None:
        """Count bytes that have arrived."""
        self._bytes[way] += size

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        call = self._calls[task] = _Call(self, reader, writer)
        try:
            far = await call.reach(*self._target)
            self._connections += 1
            await call.run(*far)
        except OSError:
            self._refused += 1  # the server is not there, so this line's near end is closed too
        except asyncio.CancelledError:
            pass  # cut: asyncio's server must not see a cancelled task as an error
        finally:
            await call.close()
            del self._calls[task]


class _Call:
    """One connection through the line."""

    def __init__(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._link = link
        self._near = (reader, writer)
        self._writers = [writer]

    async def reach(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The server's end. Raises OSError."""
        far = await asyncio.open_connection(host, port, limit=SEGMENT * 16)
        self._writers.append(far[1])
        return far

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until both have ended, or one end is gone."""
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(0, self._near[0], writer))
                both.create_task(self._carry(1, reader, self._near[1]))
        except* OSError:
            self.abort()  # as the real line would: the other end sees a reset

    def abort(self) -> None:
        """Reset both ends."""
        for writer in self._writers:
            with contextlib.suppress(OSError):
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def close(self) -> None:
        """Close both ends."""
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _carry(self, way: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read without waiting for the bytes before, deliver each when it is due."""
        road: asyncio.Queue[_Parcel] = asyncio.Queue(MOST_HELD)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._collect(way, reader, road))
            both.create_task(self._deliver(way, road, writer))

    async def _collect(self, way: int, reader: asyncio.StreamReader, road: asyncio.Queue[_Parcel]) -> None:
        while data := await reader.read(SEGMENT * 16):
            await road.put(_Parcel(self._link.arrival(way, len(data)), data))
        await road.put(_Parcel(self._link.arrival(way, 0), b""))

    async def _deliver(self, way: int, road: asyncio.Queue[_Parcel], writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            parcel = await road.get()
            await asyncio.sleep(max(0.0, parcel.due - loop.time()))
            await self._link.passing()
            if not parcel.data:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(parcel.data)
            await writer.drain()
            self._link.passed(way, len(parcel.data))


class ThreadedLink:
    """A Link in a thread of its own, for callers without an event loop; a context manager."""

    def __init__(self, host: str, port: int, *, conditions: Conditions = CLEAR, seed: object = 0) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._link = Link(host, port, conditions=conditions, seed=seed)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._link.__aenter__(), self._loop).result(_LATEST_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._link.__aexit__(None, None, None), self._loop).result(_LATEST_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_LATEST_S)
        self._loop.close()

    @property
    def port(self) -> int:
        """The loopback port to connect to."""
        return self._link.port

    @property
    def tolls(self) -> Tolls:
        """What has passed so far."""
        return self._link.tolls

    def behave(self, conditions: Conditions) -> None:
        """Change how the line behaves for what sets out from now on."""
        self._link.conditions = conditions

    def stall(self) -> None:
        """As Link.stall."""
        self._call(self._link.stall)

    def resume(self) -> None:
        """As Link.resume."""
        self._call(self._link.resume)

    def cut(self) -> int:
        """As Link.cut."""
        return self._call(self._link.cut)

    def refuse(self) -> None:
        """As Link.refuse."""
        self._call(self._link.refuse)

    def accept(self) -> None:
        """As Link.accept."""
        asyncio.run_coroutine_threadsafe(self._link.accept(), self._loop).result(_LATEST_S)

    def _call(self, function: Callable[[], _Answer]) -> _Answer:
        async def inside() -> _Answer:
            return function()

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(_LATEST_S)


def _claimed(port: int) -> socket.socket:
    """A socket bound to a loopback port; several may be, of which only those that listen get connections."""
    claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        claim.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        raise
    return claim
