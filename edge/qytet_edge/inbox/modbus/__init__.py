"""Modbus RTU and TCP: energy meters, flow meters, 4-20 mA modules and weather stations, by register maps.

line        how a line is named and set          frames  which bytes are the answer
connection  one pymodbus client                  bus     kept open, one question at a time
maps        register maps as data (maps/*.toml)  values  registers to numbers
plan        few questions for many fields        source  polls; check: what the doctor says
"""

from qytet.doctor.finding import Finding
from qytet_edge.inbox.kinds import Context
from qytet_edge.inbox.modbus.config import ModbusConfig, RtuConfig, TcpConfig
from qytet_edge.inbox.modbus.source import ModbusSource

__all__ = ["Config", "RtuConfig", "TcpConfig", "create", "probe"]

Config = RtuConfig | TcpConfig


def create(config: ModbusConfig, context: Context) -> ModbusSource:
    """A source for one line. Raises QytetError if its maps or units do not fit together."""
    return ModbusSource(config, context)


async def probe(config: ModbusConfig, context: Context) -> list[Finding]:
    """What a check of the line and its units finds out."""
    from qytet_edge.inbox.modbus.check import ask_each

    return await ask_each(config, context)
