"""Pulses and contacts on the Pi's pins: water meters, rain gauges, motion, doors, float switches."""

import asyncio

from qytet.doctor.finding import Finding
from qytet_edge.inbox.gpio import check, pins
from qytet_edge.inbox.kinds import Context
from qytet_edge.inbox.pins.config import Config, ContactConfig, PulsesConfig
from qytet_edge.inbox.pins.contact import Contact
from qytet_edge.inbox.pins.counter import Counter
from qytet_edge.ports import Source

__all__ = ["Config", "ContactConfig", "PulsesConfig", "create", "probe"]


def create(config: Config, context: Context) -> Source:
    """The source; the pin is claimed when it runs."""
    device, factory = config.device or context.gateway, pins(context)
    if isinstance(config, ContactConfig):
        return Contact(config, device, factory)
    return Counter(config, device, factory)


async def probe(config: Config, context: Context) -> list[Finding]:
    """Whether the pin is there and may be used; claims nothing."""
    return [await asyncio.to_thread(check, context, f"Source {config.name}", config.pin)]
