"""Chips on the Pi's I2C buses: BME280, SCD41, SPS30, ADS1115."""

from qytet_edge.inbox.i2c.config import Config
from qytet_edge.inbox.i2c.probe import probe
from qytet_edge.inbox.i2c.source import ChipSource
from qytet_edge.inbox.kinds import Context

__all__ = ["Config", "create", "probe"]


def create(config: Config, context: Context) -> ChipSource:
    """The source for one chip; the bus is opened when it runs."""
    return ChipSource(config, config.device or context.gateway)
