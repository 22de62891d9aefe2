"""Distances from above: the water under a cover, the waste in a container."""

from qytet_simulators.hardware.fitting.bench import Bench, Row, keyed
from qytet_simulators.hardware.ports import UartDevice
from qytet_simulators.hardware.sensors.jsn_sr04t import JsnSr04t
from qytet_simulators.hardware.sensors.tf_luna import TfLuna

__all__ = ["jsn_sr04t", "tf_luna"]


def jsn_sr04t(bench: Bench, row: Row, options: Row) -> UartDevice:
    """An ultrasonic distance."""
    names = {"distance": _distance(bench, row, options)}
    if "temperature" in options:
        names["air_temperature"] = options["temperature"]
    asked = options.get("asked", True)
    return bench.on_uart(row, JsnSr04t(bench.world.now(**names), asked=asked, seed=bench.seed(row)))


def tf_luna(bench: Bench, row: Row, options: Row) -> UartDevice:
    """A distance by light."""
    return bench.on_uart(
        row, TfLuna(bench.world.now(distance=_distance(bench, row, options)), seed=bench.seed(row))
    )


def _distance(bench: Bench, row: Row, options: Row) -> str:
    """The key of the distance, which follows from the level or the filling that is the truth."""
    key = keyed(options["distance"], row) if "distance" in options else f"distance:of {row['name']}"
    level, fill = options.get("level"), options.get("fill")
    if level:
        level, datum = keyed(level, row), options["datum_m"]
        bench.world.script(key, lambda at: datum - bench.world.value(level, at * 1000))
    elif fill:
        fill, empty, full = keyed(fill, row), options["empty_m"], options["full_m"]
        bench.world.script(key, lambda at: empty - (empty - full) * bench.world.value(fill, at * 1000) / 100)
    else:
        bench.world.script(key, bench.world.curve(f"distance:{row['name']}"))
    return key
