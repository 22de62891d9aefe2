"""Sensors on serial lines: PMS5003, SDS011, MH-Z19, and satellite receivers (NMEA 0183)."""

from qytet_edge.inbox.kinds import Context
from qytet_edge.inbox.uart.config import Config
from qytet_edge.inbox.uart.gnss import Receiver
from qytet_edge.inbox.uart.probe import probe
from qytet_edge.inbox.uart.source import SerialSensor
from qytet_edge.ports import Source

__all__ = ["Config", "create", "probe"]


def create(config: Config, context: Context) -> Source:
    """The source for one sensor; the port is opened when it runs."""
    if config.sensor == "nmea":
        return Receiver(config, context.fix)
    return SerialSensor(config, config.device or context.gateway)
