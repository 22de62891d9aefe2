"""Contacts, meters by pulses, and what counts vehicles."""

from qytet_simulators.hardware.fitting.bench import Bench, Row, keyed
from qytet_simulators.hardware.ports import PinDevice
from qytet_simulators.hardware.sensors.pulses import Door, Motion, PulseMeter
from qytet_simulators.hardware.sensors.radar import Radar
from qytet_simulators.hardware.sensors.traffic import Lane, LoopDetector

__all__ = ["contact", "loop", "pir", "pulse", "radar"]


def contact(bench: Bench, row: Row, options: Row) -> PinDevice:
    """A door."""
    return bench.at_pin(row, Door(bench.world.draw(row["name"]), active=options.get("active", 0)))


def pir(bench: Bench, row: Row, _: Row) -> PinDevice:
    """A motion sensor."""
    return bench.at_pin(row, Motion(bench.value("motion_rate"), bench.world.draw(row["name"])))


def pulse(bench: Bench, row: Row, options: Row) -> PinDevice:
    """A meter by pulses."""
    per_unit = options.get("pulses_per_unit", 1)
    rates = options.get("rate", ())
    name = rates if isinstance(rates, str) else next(iter(rates), "rainfall_rate")
    flow = bench.value(keyed(name, row))
    offset, per_hz = options.get("offset", 0.0), options.get("per_hz", 3600 / per_unit)
    bounce = 400 if options.get("debounce_ms", 50) else 0
    return bench.at_pin(
        row,
        PulseMeter(lambda: (flow() - offset) / per_hz, bounce_us=bounce, active=options.get("active", 0)),
    )


def loop(bench: Bench, row: Row, options: Row) -> PinDevice:
    """A loop under a lane."""
    return bench.at_pin(row, LoopDetector(_lane(bench, options["lane"])))


def radar(bench: Bench, row: Row, options: Row) -> Radar:
    """A lane of a radar, which may see several."""
    number = options["lane"]
    radar = bench.on_uart(row, Radar({}, seed=bench.seed(row)))
    if not isinstance(radar, Radar):
        raise TypeError("another sensor has this port")
    radar.add(number, _lane(bench, options.get("channel") or f"lane{number}"))
    return radar


def _lane(bench: Bench, name: str) -> Lane:
    keys = (f"vehicle_flow_rate:{name}", f"vehicle_speed_mean:{name}")
    return Lane(bench.value(keys[0]), bench.value(keys[1]), bench.world.draw(f"lane {name}"))
