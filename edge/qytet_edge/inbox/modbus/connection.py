"""A Modbus line's connection: a pymodbus client while it is open, the turn to speak, and what was heard.

It belongs to one event loop. What a time-out means (silence, noise, a bad checksum) is told from the bytes
heard, which pymodbus lets us see and filter through its `trace_packet`.
"""

import asyncio
import logging
import os
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from qytet.errors import SettingsError
from qytet_edge.inbox.modbus import frames
from qytet_edge.inbox.modbus.errors import PortError
from qytet_edge.inbox.modbus.line import Line, SerialLine

if TYPE_CHECKING:
    from pymodbus.client.base import ModbusBaseClient
    from pymodbus.pdu import ModbusPDU

__all__ = ["Connection", "load_library", "why_closed"]

_CONNECT_S = 5.0
_NEVER_S = 3600.0
"""pymodbus's own time-out: ours is shorter and knows how long the frames take on the wire."""
_LOOKS = 10
"""Turns of the loop in which an answer is looked for when its time is over: it may have come, and lie in the port,
while the machine stood still."""


class Connection:
    """What belongs to one event loop: the client while it is connected, the turn, and what was heard."""

    def __init__(self, line: Line) -> None:
        self.client: ModbusBaseClient | None = None
        self.open = asyncio.Event()
        self.lost = asyncio.Event()
        self.why_lost = ""
        self.unanswered = 0
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._made = asyncio.Event()
        self._turn = asyncio.Lock()
        self._limit: asyncio.Timeout | None = None
        self._over: asyncio.Handle
        self._request = b""
        self._heard = b""
        self._quiet_from = 0.0
        self._settled: dict[int, float] = {}

    async def opened(self) -> str:
        """Open the line; "" if that worked, otherwise why not."""
        self.lost.clear()
        self._made.clear()
        client = _client(self._line, self._trace, self._connected)
        try:
            async with asyncio.timeout(_CONNECT_S):
                if not await client.connect():
                    return why_closed(self._line)
                await self._made.wait()
            if self.lost.is_set():
                return f"{self._line.place} closes every connection at once"
            self.client = client
        except Exception as error:  # noqa: BLE001 (whatever a driver or the library raises, the line is tried again)
            return f"{self._line.place} cannot be opened: {error or 'no answer in time'}"
        finally:
            if self.client is not client:
                client.close()
        self.open.set()
        return ""

    @asynccontextmanager
    async def turn_for(self, unit: int) -> AsyncIterator[None]:
        """The line to oneself, once a late answer of this unit cannot come any more and the line kept its silence."""
        while True:
            await self._until(self._settled.get(unit, 0.0))
            async with self._turn:
                if self._settled.get(unit, 0.0) > self._loop.time():
                    continue  # somebody else's question to this unit failed meanwhile
                self._settled.pop(unit, None)
                await self._until(self._quiet_from + self._line.silence_s)
                yield
                return

    async def asked(
        self, unit: int, ask: "Callable[[ModbusBaseClient], Awaitable[ModbusPDU]]", limit: float
    ) -> "ModbusPDU":
        """One question and its answer, sound or refused. Raises BusError."""
        from pymodbus.exceptions import ModbusException

        client = self.client
        if client is None:
            raise PortError("the line is closed")
        self._heard = b""
        began = self._loop.time()
        answered = False
        try:
            async with asyncio.timeout(None) as self._limit:
                self._over = self._loop.call_later(limit, self._late, _LOOKS)
                answer = await ask(client)
            answered = True
        except TimeoutError:
            if self.client is not client:
                raise PortError(f"{self._line.place} was lost: {self.why_lost}") from None
            explain = frames.explain_rtu if self._line.rtu else frames.explain_tcp
            raise explain(self._request, self._heard) from None
        except ModbusException as error:
            raise PortError(f"{self._line.place}: {error}") from error
        else:
            self.unanswered = 0
            return answer
        finally:
            self._limit = None
            self._over.cancel()
            self._quiet_from = self._loop.time()
            if not answered:  # its answer may still come, and must not be taken for that of the next question
                self._settled[unit] = began + 2 * limit

    def _late(self, looks: int) -> None:
        if looks:
            self._over = self._loop.call_soon(self._late, looks - 1)
        else:
            self._give_up()

    def _give_up(self) -> None:
        """The answer will not come."""
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(self._loop.time())

    async def _until(self, when: float) -> None:
        pause = when - self._loop.time()
        if pause > 0:
            await asyncio.sleep(pause)

    def drop(self, why: str) -> None:
        """Close the line; the keeper opens it again."""
        self.why_lost = why
        self.close()
        self.lost.set()

    def close(self) -> None:
        """Close the line for good."""
        self.open.clear()
        client, self.client = self.client, None
        if client is not None:
            _discard_output(client)
            client.close()

    def _connected(self, up: bool) -> None:
        if up:
            self._made.set()
        else:
            self.open.clear()
            self.client = None
            self.why_lost = "the other side closed it, or the adapter was unplugged"
            self.lost.set()
            self._give_up()

    def _trace(self, sending: bool, data: bytes) -> bytes:
        """pymodbus shows what it sends, and all that came since; it goes on with what is returned."""
        if sending:
            self._request, self._heard = data, b""
            return data
        self._heard = data
        find = frames.find_rtu if self._line.rtu else frames.find_tcp
        return (find(self._request, data) if self._request else None) or b""


def _discard_output(client: "ModbusBaseClient") -> None:
    """Drop what a hung adapter did not take: closing a port waits for it, up to 30 s, and the loop with it."""
    port = getattr(client.ctx.transport, "sync_serial", None)
    if port is not None:
        with suppress(OSError, termios.error):
            port.reset_output_buffer()


def load_library() -> None:
    """Import pymodbus while nothing waits for it (seconds on a small board). Raises SettingsError without it."""
    try:
        import pymodbus.client
        import serial  # noqa: F401 (pymodbus needs it for serial lines, and says so only when one is opened)
    except ModuleNotFoundError as missing:
        raise SettingsError(
            "Modbus cannot be used here.",
            why=f"The Python module {missing.name} is not installed.",
            do="Install the gateway's libraries: pip install 'qytet[edge]'",
        ) from missing
    logging.getLogger(pymodbus.__name__).setLevel(logging.CRITICAL)  # the bus says the same, with the reason


def _client(
    line: Line, trace: Callable[[bool, bytes], bytes], connected: Callable[[bool], None]
) -> "ModbusBaseClient":
    """A client that neither retries nor reconnects by itself: the bus does, because it knows why."""
    from pymodbus import FramerType
    from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

    if isinstance(line, SerialLine):
        return AsyncModbusSerialClient(
            line.port,
            baudrate=line.baud,
            parity=line.parity,
            stopbits=line.stop_bits,
            timeout=_NEVER_S,
            retries=0,
            reconnect_delay=0,
            trace_packet=trace,
            trace_connect=connected,
        )
    return AsyncModbusTcpClient(
        line.host,
        port=line.port,
        framer=FramerType.RTU if line.rtu else FramerType.SOCKET,
        timeout=_NEVER_S,
        retries=0,
        reconnect_delay=0,
        trace_packet=trace,
        trace_connect=connected,
    )


def why_closed(line: Line) -> str:
    """Why a line that could not be opened is closed, as far as one can tell from here."""
    if not isinstance(line, SerialLine):
        return f"no Modbus server answers at {line.place}"
    if not Path(line.port).exists():
        return f"there is no port {line.port}: the adapter is unplugged or bears another name"
    if not os.access(line.port, os.R_OK | os.W_OK):
        return f"{line.port} may not be used: the gateway's user must be in the group dialout"
    return f"{line.port} is in use by another program, or is no serial port"
