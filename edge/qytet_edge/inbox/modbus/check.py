"""What `qytet edge doctor` says of a Modbus source: is the line there, does each unit answer, what does it say."""

from qytet.doctor.finding import Finding, ok, problem, warning
from qytet_edge.inbox.kinds import Context
from qytet_edge.inbox.modbus.bus import Bus
from qytet_edge.inbox.modbus.config import ModbusConfig
from qytet_edge.inbox.modbus.errors import BusError, GarbledError, NoAnswerError, PortError, RefusedError
from qytet_edge.inbox.modbus.line import SerialLine
from qytet_edge.inbox.modbus.source import ModbusSource, Station
from qytet_edge.inbox.modbus.values import decoded

__all__ = ["ask_each"]

_OPEN_S = 3.0
_SHOWN = 3


async def ask_each(config: ModbusConfig, context: Context) -> list[Finding]:
    """Ask each unit each of its questions once or twice; changes nothing on the line."""
    source = ModbusSource(config, context)
    async with source.bus.use():
        try:
            await source.bus.opened(_OPEN_S)
        except PortError:
            return [_closed(source.bus)]
        findings = [ok(f"{config.line.place} is open.")]
        return findings + [await _ask(source.bus, station, config) for station in source.stations]


def _closed(bus: Bus) -> Finding:
    if isinstance(bus.line, SerialLine):
        do = "Plug the adapter in, name its port by /dev/serial/by-id, and stop the gateway before testing by hand."
    else:
        do = "Check the cable, the address, and that no other program keeps the instrument's only connection."
    return problem(f"The line is closed: {bus.why}.", do)


async def _ask(bus: Bus, station: Station, config: ModbusConfig) -> Finding:
    name = f"Unit {station.config.address} ({station.title})"
    said: list[str] = []
    lost: list[str] = []
    for block in station.blocks:
        try:
            answer = await _patiently(
                bus, station.config.address, block.function, block.address, block.size, config
            )
        except BusError as error:
            return problem(f"{name}: {error}.", _advice(error, config))
        for item in block.items:
            value, wrong = decoded(item, block.registers(item, answer))
            said.append(f"{item.key} = {value}")
            if value is None:
                lost.append(wrong or f"{item.key}: the instrument gives no value")
    text = f"{name} answers: {', '.join(said[:_SHOWN])}{', …' if len(said) > _SHOWN else ''}."
    if lost:
        return warning(
            f"{text} Without a value: {'; '.join(lost)}.", "Check the sensor that is connected there."
        )
    return ok(text)


async def _patiently(
    bus: Bus, unit: int, function: int, address: int, count: int, config: ModbusConfig
) -> list[int]:
    try:
        return await bus.read(unit, function, address, count, config.timeout_s)
    except (GarbledError, NoAnswerError):
        return await bus.read(unit, function, address, count, config.timeout_s)


def _advice(error: BusError, config: ModbusConfig) -> str:
    if isinstance(error, RefusedError):
        return "Compare the register map with the instrument's manual."
    if isinstance(error, GarbledError):
        if error.kind == "other unit":
            return "Two instruments bear the same address, or the address in the configuration is another's."
        return (
            "Check baud rate and parity, the shield, and that only the two ends of the line are terminated."
        )
    if isinstance(config.line, SerialLine):
        return (
            f"Check its power and address, A and B (swap them), and that it is set to {config.line.baud} baud, "
            f"parity {config.line.parity}."
        )
    return "Check its power, its address, and the line behind the Modbus server."
