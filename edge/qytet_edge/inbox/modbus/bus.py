"""One Modbus line: one pymodbus client, opened again whenever it is lost, and one question at a time.

Whoever uses it is counted: the first opens it, the last closes it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from qytet import log
from qytet.errors import SettingsError
from qytet_edge.ending import ended
from qytet_edge.inbox.kinds import Context
from qytet_edge.inbox.modbus.connection import Connection, load_library
from qytet_edge.inbox.modbus.errors import GarbledError, NoAnswerError, PortError, RefusedError
from qytet_edge.inbox.modbus.line import Line
from qytet_edge.pauses import Pauses

if TYPE_CHECKING:
    from pymodbus.client.base import ModbusBaseClient
    from pymodbus.pdu import ModbusPDU

__all__ = ["Bus", "bus_for"]

_log = log.get("modbus")
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_QUESTION_BYTES = 16
"""Of a question that reads, or writes a value or two."""
_DEAF_AFTER = 5
"""Unanswered questions in a row, to whomever, after which the line is opened anew: adapters do hang."""


def bus_for(context: Context, line: Line) -> "Bus":
    """The one bus of this line. Raises SettingsError if another source or output sets the same line otherwise."""
    load_library()
    bus = context.shared(("modbus", line.place), lambda: Bus(line))
    if bus.line != line:
        raise SettingsError(
            f"{line.place} is set in two ways.",
            why=f"One table says {tuple(bus.line)}, another {tuple(line)}.",
            do="Give all sources and outputs of one line the same settings, or make them one source.",
        )
    return bus


class Bus:
    """A line with units on it; its methods may be called by many tasks, the line serves them in turn."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.why = "not opened yet"
        """Why the line is closed, while it is."""
        self._users = 0
        self._keeper: asyncio.Task[None] | None = None
        self._life: Connection | None = None

    @asynccontextmanager
    async def use(self) -> AsyncIterator[None]:
        """Keep the line open meanwhile; returns at once, whether it can be opened or not."""
        if self._users == 0:
            self._life = Connection(self.line)
            self._keeper = asyncio.create_task(self._keep(self._life), name=f"modbus {self.line.place}")
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0 and self._keeper is not None:
                keeper, self._keeper, self._life = self._keeper, None, None
                await ended(keeper)  # another user may come meanwhile, and has a line of its own

    async def ready(self) -> None:
        """Wait until the line is open."""
        await self._living.open.wait()

    async def opened(self, most_s: float) -> None:
        """Wait until the line is open, at most so many seconds. Raises PortError."""
        try:
            async with asyncio.timeout(most_s):
                await self.ready()
        except TimeoutError:
            raise PortError(self.why) from None

    async def read(self, unit: int, function: int, address: int, count: int, timeout_s: float) -> list[int]:
        """`count` registers (function 3, 4) or bits as 0 and 1 (function 1, 2). Raises BusError."""

        def ask(client: "ModbusBaseClient") -> "Awaitable[ModbusPDU]":
            asking = {
                1: client.read_coils,
                2: client.read_discrete_inputs,
                3: client.read_holding_registers,
                4: client.read_input_registers,
            }[function]
            return asking(address, count=count, device_id=unit)

        answer = await self._exchange(
            unit, ask, timeout_s, 5 + (2 * count if function > 2 else count // 8 + 1)
        )
        return [int(value) for value in (answer.registers if function > 2 else answer.bits)][:count]

    async def write_coil(self, unit: int, address: int, on: bool, timeout_s: float) -> None:
        """Function 5. Raises BusError."""
        await self._exchange(
            unit, lambda client: client.write_coil(address, on, device_id=unit), timeout_s, 8
        )

    async def write_registers(
        self, unit: int, address: int, values: Sequence[int], timeout_s: float, *, single: bool
    ) -> None:
        """Function 6 (`single`, one value) or 16. Raises BusError."""
        if single:
            await self._exchange(
                unit, lambda client: client.write_register(address, values[0], device_id=unit), timeout_s, 8
            )
        else:
            await self._exchange(
                unit,
                lambda client: client.write_registers(address, list(values), device_id=unit),
                timeout_s,
                8,
            )

    @property
    def _living(self) -> "Connection":
        if self._life is None:
            raise PortError(f"{self.line.place} is not in use")
        return self._life

    async def _exchange(
        self,
        unit: int,
        ask: "Callable[[ModbusBaseClient], Awaitable[ModbusPDU]]",
        timeout_s: float,
        length: int,
    ) -> "ModbusPDU":
        life = self._living
        async with life.turn_for(unit):
            if life.client is None:
                raise PortError(self.why)
            try:
                answer = await life.asked(unit, ask, timeout_s + self.line.wire_s(_QUESTION_BYTES + length))
            except (NoAnswerError, GarbledError) as error:
                if not self.line.rtu and isinstance(error, GarbledError):
                    life.drop(str(error))  # a stream that lost its step does not find it again
                self._heed_silence(life)
                raise
        if not answer.isError():
            return answer
        refused = RefusedError(unit, answer.exception_code)
        if refused.behind:
            raise NoAnswerError(f"unit {unit} is silent: the Modbus gateway at {self.line.place} says so")
        raise refused

    def _heed_silence(self, life: "Connection") -> None:
        life.unanswered += 1
        if life.unanswered >= _DEAF_AFTER:
            life.unanswered = 0
            life.drop(f"nobody answers on {self.line.place}")

    async def _keep(self, life: "Connection") -> None:
        """Open the line, wait until it is lost, and again, for ever."""
        pauses = Pauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        try:
            while True:
                why = await life.opened()
                if not why:
                    pauses.reset()
                    await life.lost.wait()
                    why = f"{self.line.place} was lost: {life.why_lost}"
                if why != self.why:
                    _log.warning("line closed", line=self.line.place, why=why)
                self.why = why
                await asyncio.sleep(pauses.next())
        finally:
            life.close()
