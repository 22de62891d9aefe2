"""What `qytet edge doctor` finds on an I2C bus: whether the chip is there, is the right one, or is elsewhere."""

import asyncio
import errno
import threading

from qytet.doctor.finding import Finding, ok, problem
from qytet_edge.inbox.i2c.bus import LinuxBus
from qytet_edge.inbox.i2c.config import ADDRESSES, Config, driver
from qytet_edge.inbox.kinds import Context

__all__ = ["probe"]

_WIRES = "Check supply, ground, SDA and SCL, and its address pins; `i2cdetect -y BUS` lists who answers."
_NEVER = threading.Event()


async def probe(config: Config, context: Context) -> list[Finding]:
    """Ask the chip who it is; a measurement under way is not disturbed."""
    _ = context
    return [await asyncio.to_thread(_look, config)]


def _look(config: Config) -> Finding:
    where = f"Source {config.name}: {config.chip} at 0x{config.at:02x} of {config.path}"
    try:
        with LinuxBus(config.path) as bus:
            return _answer(config, bus, where)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return problem(
                f"{where}: the bus is not there.", "Switch I2C on: raspi-config, Interface Options."
            )
        if error.errno in {errno.EACCES, errno.EPERM}:
            return problem(
                f"{where}: the bus may not be used.", "Add the gateway's user to the group i2c, and restart."
            )
        return problem(f"{where}: {error}.", _WIRES)


def _answer(config: Config, bus: LinuxBus, where: str) -> Finding:
    try:
        found = driver(config, _NEVER.wait).identify(bus)
    except OSError as error:
        for other in ADDRESSES[config.chip]:
            if other != config.at and _answers(bus, other):
                return problem(
                    f"{where} does not answer, but 0x{other:02x} does.", f"Try address = 0x{other:02x}."
                )
        return problem(f"{where} does not answer ({error}).", _WIRES)
    if found:
        return problem(f"{where}: there is {found}.", "Correct `chip` or `address`.")
    return ok(f"{where} answers.")


def _answers(bus: LinuxBus, address: int) -> bool:
    try:
        bus.read(address, 1)
    except OSError:
        return False
    return True
