"""What gives volts to an analogue converter: electrodes and current loops."""

from collections.abc import Callable

from qytet_simulators.hardware.fitting.bench import Bench, Row
from qytet_simulators.hardware.sensors.ads1115 import Ads1115
from qytet_simulators.instruments.i2c import ChipModel

__all__ = ["current_loop", "electrochemical"]


def electrochemical(bench: Bench, row: Row, options: Row) -> ChipModel:
    """A cell with two electrodes."""
    channel = options["channel"]
    keys = [f"electrode_voltage_{which}:{channel}" for which in ("we", "ae")]
    return _at_inputs(bench, row, [_volts(bench, key) for key in keys])


def _volts(bench: Bench, key: str) -> Callable[[], float]:
    return lambda: bench.world.value(key) / 1000


def current_loop(bench: Bench, row: Row, options: Row) -> ChipModel:
    """A transmitter of 4 to 20 mA."""
    key, low, high = options["key"], options["low"], options["high"]
    ohm = options.get("shunt_ohm", 100.0)

    def volts() -> float:
        return float(ohm * (4 + 16 * (bench.world.value(key) - low) / (high - low)) / 1000)

    return _at_inputs(bench, row, [volts])


def _at_inputs(bench: Bench, row: Row, sources: list[Callable[[], float]]) -> ChipModel:
    _, bus, address, inputs = row["bus"].split(":")
    place = bus, int(address, 16)
    known = bench.volts.setdefault(place, {f"volts{number}": lambda: 0.0 for number in range(4)})
    for number, source in zip(inputs.split("+"), sources, strict=True):
        known[f"volts{number}"] = source
    chips = bench.bus(bus).chips
    if place[1] not in chips:
        chips[place[1]] = Ads1115(lambda: {name: volts() for name, volts in known.items()})
    return chips[place[1]]
