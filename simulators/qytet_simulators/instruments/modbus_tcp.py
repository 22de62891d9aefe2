"""A simulated Modbus TCP server: the same units behind a socket on the loopback, with a connection that can be cut."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from qytet_simulators.instruments.modbus_unit import Fault, ModbusUnit

__all__ = ["TcpServer"]

_HEADER = 6


class TcpServer:
    """A context manager; `port` is chosen by the system at the first start and kept."""

    def __init__(self, units: Iterable[ModbusUnit] = ()) -> None:
        self.units = {unit.address: unit for unit in units}
        self.port = 0
        self.connections = 0
        """How many there have been."""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse new connections and cut those that are."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        self.cut()
        await server.wait_closed()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                header = await reader.readexactly(_HEADER)
                body = await reader.readexactly(int.from_bytes(header[4:6], "big"))
                await self._take(header[:2], body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except asyncio.CancelledError:  # the loop ends; asyncio's server takes a cancelled task for an error
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _take(self, transaction: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        unit = self.units.get(body[0])
        if unit is None:
            return
        fault = unit.next_fault()
        if fault.silent:
            return
        await asyncio.sleep(fault.delay_s)
        writer.write(_frame(transaction, unit, fault, unit.answer(body[1:], fault)))
        await writer.drain()


def _frame(transaction: bytes, unit: ModbusUnit, fault: Fault, pdu: bytes) -> bytes:
    body = bytes((unit.address if fault.wrong_unit is None else fault.wrong_unit,)) + pdu
    frame = transaction + b"\0\0" + len(body).to_bytes(2, "big") + body
    return fault.before + frame[: fault.cut] + fault.after
