"""A simulated RS-485 line on a pseudo terminal: units that answer, and an adapter that can be pulled out.

The port's path is a symbolic link, as /dev/serial/by-id is, so that it keeps its name when the adapter is
plugged in again under another number.
"""

import asyncio
import os
import tty
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from qytet_simulators.instruments.modbus_unit import Fault, ModbusUnit, checksum

__all__ = ["RtuLine"]

_FIXED_LENGTH = 8
_COUNTED = (15, 16)
_CHUNK = 4096


class RtuLine:
    """A context manager: inside it, whoever opens `path` finds the units on the line."""

    def __init__(self, path: Path, units: Iterable[ModbusUnit] = ()) -> None:
        self.path = path
        self.units = {unit.address: unit for unit in units}
        self.asked: list[int] = []
        """The address of every sound question, in order."""
        self._descriptors: tuple[int, int] | None = None
        self._heard = b""
        self._answers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.plug()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()
        await asyncio.gather(*self._answers, return_exceptions=True)

    def plug(self) -> None:
        """Put the adapter in: the port is there."""
        master, slave = os.openpty()
        tty.setraw(slave)  # kept open as well: without it the line would hang up between two users
        os.set_blocking(master, False)
        self._descriptors = master, slave
        self._heard = b""
        self.path.symlink_to(os.ttyname(slave))
        asyncio.get_running_loop().add_reader(master, self._hear)

    def unplug(self) -> None:
        """Pull the adapter out: whoever has the port open gets an error, and its name is gone."""
        if self._descriptors is None:
            return
        master, slave = self._descriptors
        self._descriptors = None
        asyncio.get_running_loop().remove_reader(master)
        self.path.unlink()
        for task in self._answers:
            task.cancel()
        os.close(slave)
        os.close(master)

    def babble(self, noise: bytes) -> None:
        """Noise that nobody asked for."""
        self._say(noise)

    def _hear(self) -> None:
        if self._descriptors is None:
            return
        self._heard += os.read(self._descriptors[0], _CHUNK)
        while (frame := self._question()) is not None:
            self._take(frame)

    def _question(self) -> bytes | None:
        """The next sound question; bytes before it are passed over, as a unit does at a silence."""
        while len(self._heard) >= _FIXED_LENGTH:
            length = 9 + self._heard[6] if self._heard[1] in _COUNTED else _FIXED_LENGTH
            frame = self._heard[:length]
            if len(frame) < length:
                return None
            if checksum(frame[:-2]) == frame[-2:]:
                self._heard = self._heard[length:]
                return frame
            self._heard = self._heard[1:]
        return None

    def _take(self, frame: bytes) -> None:
        self.asked.append(frame[0])
        unit = self.units.get(frame[0])
        if unit is None:
            return
        fault = unit.next_fault()
        if fault.echo:
            self._say(frame)
        if fault.silent:
            return
        pdu = unit.answer(frame[1:-2], fault)
        task = asyncio.get_running_loop().create_task(self._answer(unit, fault, pdu))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, unit: ModbusUnit, fault: Fault, pdu: bytes) -> None:
        frame = bytes((unit.address if fault.wrong_unit is None else fault.wrong_unit,)) + pdu
        crc = checksum(frame)
        frame += bytes((crc[0] ^ 0xFF, crc[1])) if fault.bad_checksum else crc
        data = fault.before + frame[: fault.cut] + fault.after
        await asyncio.sleep(fault.delay_s)
        size = -(-len(data) // fault.pieces)
        for place in range(0, len(data), size):
            self._say(data[place : place + size])
            await asyncio.sleep(0)

    def _say(self, data: bytes) -> None:
        if self._descriptors is not None:
            with suppress(BlockingIOError):  # nobody reads: what does not fit is lost, as on a wire
                os.write(self._descriptors[0], data)
