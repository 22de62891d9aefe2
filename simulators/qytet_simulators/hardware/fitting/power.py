"""Meters of power, and the lamps whose power they measure."""

import math

from qytet_simulators.hardware.fitting.bench import Bench, Row, keyed
from qytet_simulators.hardware.sensors.lamp import Lamp
from qytet_simulators.hardware.sensors.pzem004t import GENERAL, Pzem004t, PzemMeter
from qytet_simulators.hardware.sensors.world import Truth

__all__ = ["lamp", "pzem004t"]

_NAMES = {
    "lamp": (
        "lamp_supply_voltage",
        "lamp_supply_current",
        "lamp_active_power",
        "grid_frequency",
        "lamp_power_factor",
    ),
    "grid": (
        "grid_phase_voltage",
        "grid_current",
        "grid_active_power",
        "grid_frequency",
        "grid_power_factor",
    ),
}
_LAMP_W = 60.0
"""Of a lamp that no output of the node drives."""


def lamp(bench: Bench, row: Row) -> None:
    """A lamp at a dimming output or a relay."""
    lamp = Lamp(bench.world.unix_ms, invert=row.get("invert", False))
    bench.made.lamps[row["name"]] = lamp
    if row["kind"] == "relay":
        bench.wiring.pins[bench.pin(row["pin"])] = lamp
    else:
        bench.wiring.pwm[bench.pin(row["pin"])] = lamp


def pzem004t(bench: Bench, row: Row, options: Row) -> PzemMeter:
    """A meter, one of perhaps several on its line."""
    address = options.get("address", GENERAL)
    meter = PzemMeter(
        _power(bench, row, options),
        1 if address == GENERAL else address,
        bench.world.draw(row["name"]).uniform(0, 900_000),
    )
    line = bench.on_uart(row, Pzem004t([], seed=bench.seed(row)))
    if not isinstance(line, Pzem004t):
        raise TypeError("another sensor has this port")
    line.meters.append(meter)
    return meter


def _power(bench: Bench, row: Row, options: Row) -> Truth:
    """Power, current and power factor belong together; a lamp takes what its output tells it to."""
    kind = options.get("kind", "lamp")
    voltage, current, power, frequency, factor = (keyed(name, row) for name in _NAMES[kind])
    value, script = bench.world.value, bench.world.script
    if kind == "grid":

        def kilowatts(at: float) -> float:
            return math.prod(value(key, at * 1000) for key in (voltage, current, factor)) / 1000

        script(power, kilowatts)
    else:
        lamp = next(iter(bench.made.lamps.values()), None)

        def amperes(at: float) -> float:
            return value(power, at * 1000) / value(voltage, at * 1000) / value(factor, at * 1000)

        script(power, lambda at: _LAMP_W if lamp is None else lamp.watts_at(at * 1000))
        script(current, amperes)
    watts = 1000 if kind == "grid" else 1
    return lambda: {
        "voltage": value(voltage),
        "current": value(current),
        "power": value(power) * watts,
        "frequency": value(frequency),
        "factor": value(factor),
    }
