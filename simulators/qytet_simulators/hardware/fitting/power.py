"""Meters of power, and the lamps whose power they measure."""

from qytet_simulators.hardware.fitting.bench import Bench, Row, keyed
from qytet_simulators.hardware.sensors.lamp import Lamp
from qytet_simulators.hardware.sensors.pzem004t import GENERAL, Pzem004t, PzemMeter
from qytet_simulators.hardware.sensors.world import Truth

__all__ = ["lamp", "pzem004t"]


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
    lamp = next(iter(bench.made.lamps.values()), None)
    if options.get("kind", "lamp") == "grid":
        names = ("grid_phase_voltage", "grid_current", "grid_power_factor", "grid_frequency")
        volts, amperes, factor, hertz = (keyed(name, row) for name in names)
    else:
        volts, factor = keyed("lamp_supply_voltage", row), keyed("lamp_power_factor", row)
        amperes, hertz = "", keyed("grid_frequency", row)

    def truth() -> dict[str, float]:
        value = bench.world.value
        found = {"voltage": value(volts), "factor": value(factor), "frequency": value(hertz)}
        if amperes:
            found["current"] = value(amperes)
            found["power"] = found["current"] * found["voltage"] * found["factor"]
        else:
            found["power"] = lamp.watts if lamp is not None else 60.0
            found["current"] = found["power"] / found["voltage"] / found["factor"]
        return found

    return truth
