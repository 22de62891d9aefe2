"""What the gateway reads in a chaos run, and the truth about it: a growing file, and a counter on a Modbus bus."""

import asyncio
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from qytet_simulators.instruments.modbus_tcp import TcpServer
from qytet_simulators.instruments.modbus_unit import ModbusUnit

__all__ = ["CountingBus", "GrowingFile", "Happening"]


class Happening:
    """Something that happens in a thread while the block lasts."""

    def __init__(self, name: str) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(90)

    def _run(self) -> None:
        raise NotImplementedError


class GrowingFile(Happening):
    """Appends `rate` rows a second to a CSV file; some rows come in two halves. `rows`: time (ms) to value."""

    def __init__(self, path: Path, rate: float) -> None:
        super().__init__("growing file")
        self.rows: dict[int, float] = {}
        self._path = path
        self._rate = rate
        path.write_text("time_ms,pm2_5\n", encoding="ascii")

    def _run(self) -> None:
        began, number, t_ms = time.monotonic(), 0, 0
        with self._path.open("ab", buffering=0) as file:
            while not self._stop.wait(max(0.0, began + number / self._rate - time.monotonic())):
                t_ms = max(t_ms + 1, time.time_ns() // 1_000_000)  # an instant of its own for each row
                value = number % 1000 / 10
                row = f"{t_ms},{value}\n".encode()
                half = len(row) // 2 if number % 7 == 0 else len(row)
                file.write(row[:half])
                self.rows[t_ms] = value
                if half < len(row):
                    self._stop.wait(0.01)
                    file.write(row[half:])
                number += 1


class CountingBus(Happening):
    """A Modbus TCP server whose input register 0 counts its reads; `served`: the last number it gave."""

    def __init__(self) -> None:
        super().__init__("counting bus")
        self.served = 0
        self.port = 0
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        super().__enter__()
        assert self._ready.wait(90), "the bus did not start"
        return self

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        def count() -> int:
            self.served += 1
            return self.served & 0xFFFF

        async with TcpServer([ModbusUnit(1, tables={4: {0: count}})]) as server:
            self.port = server.port
            self._ready.set()
            await asyncio.to_thread(self._stop.wait)
