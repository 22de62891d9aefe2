"""What `qytet edge doctor` finds on a serial port: who speaks there, or why nobody can be heard."""

import asyncio
import errno

from qytet.doctor.finding import Finding, ok, problem, warning
from qytet_edge.inbox.kinds import Context
from qytet_edge.inbox.uart.config import SENSORS, Config
from qytet_edge.inbox.uart.nmea import Sentences
from qytet_edge.inbox.uart.port import Port

__all__ = ["probe", "recognise"]

_LISTEN_S = 6.0
"""A PMS5003 in clean air speaks every 2.3 s, an MH-Z19 when asked, a receiver every second."""
_ENOUGH = 256


def recognise(data: bytes) -> list[str]:
    """The sensors whose frames are in `data`, by name."""
    names = [name for name, sensor in SENSORS.items() if sensor.frames().feed(data)]
    sentences = Sentences()
    sentences.feed(data)
    return [*names, "nmea"] if sentences.good else names


async def probe(config: Config, context: Context, *, listen_s: float = _LISTEN_S) -> list[Finding]:
    """Listen on its port for a while and say what came."""
    _ = context
    where = f"Source {config.name}: port {config.port}"
    try:
        data = await _listen(config, listen_s)
    except OSError as error:
        return [_unheard(where, error)]
    return [_judge(config, where, data)]


async def _listen(config: Config, listen_s: float) -> bytes:
    sensor = SENSORS.get(config.sensor)
    data = b""
    async with Port(config.port, config.baud or (sensor.baud if sensor else 9600)) as port:
        if sensor and sensor.ask:
            port.send(sensor.ask)
        try:
            async with asyncio.timeout(listen_s):
                while config.sensor not in recognise(data) and len(data) < 8 * _ENOUGH:
                    data += await port.read()
        except TimeoutError:
            pass
    return data


def _judge(config: Config, where: str, data: bytes) -> Finding:
    found = recognise(data)
    if config.sensor in found:
        return ok(f"{where}: a {config.sensor} speaks.")
    if found:
        return problem(f"{where}: a {found[0]} speaks, not a {config.sensor}.", f'Set sensor = "{found[0]}".')
    if data:
        return problem(
            f"{where}: {len(data)} bytes came, but no frame of a {config.sensor}.",
            "Check the speed (`baud`), that it is this sensor, and that the wires are short and have a common ground.",
        )
    if config.cycles:
        return warning(
            f"{where}: silent; a sensor that sleeps between reports is.",
            "Start the gateway, and look at `qytet edge status` after the first report.",
        )
    return problem(f"{where}: silent.", "Check supply and ground, and that its TX is on the Pi's RX.")


def _unheard(where: str, error: OSError) -> Finding:
    if error.errno == errno.ENOENT:
        return problem(f"{where} is not there.", f"Plug the adapter in and correct `port`. {_ports()}")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return problem(
            f"{where} may not be opened.", "Add the gateway's user to the group dialout, and restart."
        )
    if error.errno in {errno.EAGAIN, errno.EBUSY}:
        return warning(
            f"{where} is in use.", "If that is the running gateway, all is well: see `qytet edge status`."
        )
    return problem(
        f"{where} cannot be used: {error}", "Check that it is a serial port, and plug the adapter in anew."
    )


def _ports() -> str:
    from serial.tools.list_ports import comports

    there = [f"{port.device} ({port.description})" for port in comports()]
    return f"There are: {', '.join(there)}." if there else "There is no serial port at all."
