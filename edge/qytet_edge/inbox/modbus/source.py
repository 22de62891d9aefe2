"""The source: polls each unit of a line at its own pace, so that a silent one costs the others little.

A question that fails is repeated; a poll that brought nothing because the unit is silent doubles the pause
before its next one, up to `rest_s`. While the line itself is lost no unit is blamed, and all are asked as soon
as it is back.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from qytet import log
from qytet.errors import SettingsError
from qytet_edge.inbox.kinds import Context
from qytet_edge.inbox.modbus.bus import Bus, bus_for
from qytet_edge.inbox.modbus.config import ModbusConfig, UnitConfig
from qytet_edge.inbox.modbus.errors import BusError, PortError, RefusedError
from qytet_edge.inbox.modbus.line import SerialLine
from qytet_edge.inbox.modbus.maps import load_map
from qytet_edge.inbox.modbus.plan import Block, blocks, items
from qytet_edge.inbox.modbus.values import Value, decoded
from qytet_edge.inbox.units import tidy
from qytet_edge.ports import Sink
from qytet_edge.records import Checkpoint, Reading

__all__ = ["ModbusSource", "Station"]

_log = log.get("modbus")
_OPEN_S = 3.0
_LONGEST_SERIAL_ADDRESS = 247  # Modbus over Serial Line V1.02, 2.2


class Station:
    """A unit with what to ask of it and how it has been."""

    def __init__(self, config: UnitConfig, context: Context) -> None:
        found = load_map(config.map, context.folder)
        self.title = found.title
        self.config = config
        self.device = config.device or context.gateway
        self.items = items(config, found)
        self.blocks = blocks(self.items, found)
        self.silent_polls = 0
        self.due = 0.0
        """On the loop's clock."""
        self.totals: dict[str, float] = {}
        """Of running totals, what was last read: kept with the reading that told the increase."""

    def reschedule(self, now: float, rest_s: float) -> None:
        """When the next poll is due: in step with the first one, or later if the unit is silent."""
        every = self.config.every_s
        if self.silent_polls:
            self.due = now + max(every, min(every * 2**self.silent_polls, rest_s))
        else:
            self.due = max(self.due + every, now)


class ModbusSource:
    """A plug-in for one line (see ports.Source)."""

    def __init__(self, config: ModbusConfig, context: Context) -> None:
        self.name = config.name
        self.bus: Bus = bus_for(context, config.line)
        self.stations = [_station(config, unit, context) for unit in config.unit]
        self.streams: Mapping[str, Sequence[str]] = _streams(self.stations)
        slowest = max(unit.every_s for unit in config.unit)
        self.deadline_s = max(120.0, 4 * slowest, 2 * config.rest_s)
        self._config = config

    async def run(self, sink: Sink) -> None:
        """Poll until cancelled."""
        try:
            async with self.bus.use(), asyncio.TaskGroup() as group:
                for station in self.stations:
                    name = f"{self.name} unit {station.config.address}"
                    group.create_task(self._attend(station, sink), name=name)
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed  # the first that failed ended the others

    async def _attend(self, station: Station, sink: Sink) -> None:
        loop = asyncio.get_running_loop()
        totals_name = f"{self.name}.{station.config.address}.{station.config.map}"
        station.totals = _read_totals(await sink.checkpoint(totals_name))
        with suppress(PortError):  # the first poll tells it
            await self.bus.opened(_OPEN_S)
        station.due = max(station.due, loop.time())
        while True:
            await asyncio.sleep(station.due - loop.time())
            await self._poll(station, sink, totals_name)
            station.reschedule(loop.time(), self._config.rest_s)

    async def _poll(self, station: Station, sink: Sink, totals_name: str) -> None:
        """One round of questions to one unit; what was read is put, what was not is told."""
        values: dict[str, Value] = {}
        silent = False
        for block in station.blocks:
            try:
                answer = await self._asked(station, block)
            except PortError as error:
                sink.trouble(str(error), device=station.device)
                await self._wait_for_line(station)
                break
            except BusError as error:
                sink.trouble(str(error), device=station.device)
                silent = not isinstance(error, RefusedError)
                if silent:
                    break  # it will not answer the rest either
                sink.beat()
            else:
                self._take(station, block, answer, values, sink)
        station.silent_polls = station.silent_polls + 1 if silent and not values else 0
        totals = _increments(station, values)
        if values or totals != station.totals:
            checkpoint = Checkpoint(totals_name, msgspec.json.encode(totals)) if totals else None
            await sink.put([Reading(station.device, values)] if values else [], checkpoint)
            station.totals = totals

    async def _asked(self, station: Station, block: Block) -> list[int]:
        """The answer to a question, repeated if it makes sense. Raises BusError."""
        tries = 1 if station.silent_polls else 1 + self._config.retries
        for left in reversed(range(tries)):
            try:
                return await self.bus.read(
                    station.config.address, block.function, block.address, block.size, self._config.timeout_s
                )
            except PortError:
                raise
            except BusError as error:
                if not left or (isinstance(error, RefusedError) and not error.busy):
                    raise
        raise AssertionError("unreachable")

    async def _wait_for_line(self, station: Station) -> None:
        """Until the line is back or the next poll is due, whichever is first; then the poll comes at once."""
        with suppress(PortError):
            await self.bus.opened(station.config.every_s)
        station.due = asyncio.get_running_loop().time() - station.config.every_s

    @staticmethod
    def _take(
        station: Station, block: Block, answer: Sequence[int], values: dict[str, Value], sink: Sink
    ) -> None:
        for item in block.items:
            values[item.key], wrong = decoded(item, block.registers(item, answer))
            if wrong:
                sink.trouble(f"unit {station.config.address}: {wrong}", device=station.device)


def _station(config: ModbusConfig, unit: UnitConfig, context: Context) -> Station:
    if isinstance(config.line, SerialLine) and not 1 <= unit.address <= _LONGEST_SERIAL_ADDRESS:
        raise SettingsError(
            f"Unit {unit.address} of source {config.name} cannot be.",
            why="On a serial line addresses are 1 to 247.",
        )
    return Station(unit, context)


def _streams(stations: Sequence[Station]) -> dict[str, list[str]]:
    streams: dict[str, list[str]] = {}
    for station in stations:
        keys = streams.setdefault(station.device, [])
        for item in station.items:
            if item.key in keys:
                raise SettingsError(
                    f"Two units make {item.key} of device {station.device}.",
                    why=f"The second is unit {station.config.address}.",
                    do="Give each unit a `channel` of its own, or a `device`.",
                )
            keys.append(item.key)
    return streams


def _increments(station: Station, values: dict[str, Value]) -> dict[str, float]:
    """Turn running totals into what was added since the last reading; returns the totals to keep.

    The first total ever has nothing to be compared with: its key is left out. A total that fell began anew.
    """
    totals = dict(station.totals)
    for item in station.items:
        total = values.get(item.key)
        if not item.field.increment or total is None:
            continue
        before = totals.get(item.key)
        totals[item.key] = total
        if before is None:
            del values[item.key]
        else:
            values[item.key] = tidy(total - before, 12) if total >= before else total
    return totals


def _read_totals(state: bytes | None) -> dict[str, float]:
    if not state:
        return {}
    try:
        return msgspec.json.decode(state, type=dict[str, float])
    except msgspec.DecodeError as error:
        _log.warning("running totals begin anew", why=str(error))
        return {}
