"""What moves a structure, and the field over a parking place."""

import math

from qytet_simulators.hardware.fitting.bench import Bench, Row, keyed
from qytet_simulators.hardware.sensors.adxl355 import Adxl355
from qytet_simulators.hardware.sensors.mmc5603 import Mmc5603
from qytet_simulators.hardware.sensors.world import Curve, World
from qytet_simulators.instruments.i2c import ChipModel

__all__ = ["adxl355", "mmc5603"]

_VEHICLE_UT = (18.0, -13.0, 24.0)
"""What a vehicle adds to the Earth's field over a parking place."""


def adxl355(bench: Bench, row: Row, options: Row) -> ChipModel:
    """An ADXL355 and what it feels."""
    channel = options.get("channel", "")
    names: dict[str, str] = {}
    for axis in "xyz":
        end = f"{axis}-{channel}" if channel else axis
        keys = (f"peak_particle_velocity:{end}", f"ppv_dominant_frequency:{end}", f"inclination:{end}")
        names |= dict(zip((f"velocity_{axis}", f"frequency_{axis}", f"tilt_{axis}"), keys, strict=True))
        _accelerates(bench, end, *keys[:2])
    _upright(bench, *(names[f"tilt_{axis}"] for axis in "xyz"))
    return bench.on_i2c(row, options, Adxl355(bench.world.now(**names)), 0x1D)


def _accelerates(bench: Bench, end: str, velocity: str, frequency: str) -> None:
    """The acceleration of a sine, from its velocity."""
    value = bench.world.value

    def peak(at: float) -> float:
        return 2 * math.pi * value(frequency, at * 1000) * value(velocity, at * 1000) / 1000

    bench.world.script(f"acceleration_peak:{end}", peak)
    bench.world.script(f"acceleration_rms:{end}", lambda at: peak(at) / math.sqrt(2))


def _upright(bench: Bench, x: str, y: str, z: str) -> None:
    """Gravity is 1 g: the third tilt follows from two."""

    def upright(at: float) -> float:
        across = sum(math.sin(math.radians(bench.world.value(key, at * 1000))) ** 2 for key in (x, y))
        return math.degrees(math.asin(math.sqrt(1 - across)))

    bench.world.script(z, upright)


def mmc5603(bench: Bench, row: Row, options: Row) -> ChipModel:
    """A magnetometer under a parking place."""
    state = keyed("parking_space_occupied", row)
    bench.world.script(state, _stays(bench, row["name"]))
    channel = options.get("channel", "")
    empty = World(bench.world.seed)  # the field without a vehicle
    names = {}
    for axis, more in zip("xyz", _VEHICLE_UT, strict=True):
        names[axis] = f"magnetic_flux_density:{axis}" + (f"-{channel}" if channel else "")
        bench.world.script(names[axis], _disturbed(empty, names[axis], bench.world, state, more))
    return bench.on_i2c(row, options, Mmc5603(bench.world.now(**names)), 0x30)


def _disturbed(empty: World, key: str, world: World, state: str, more: float) -> Curve:
    return lambda at: empty.value(key, at * 1000) + more * world.value(state, at * 1000)


def _stays(bench: Bench, name: str) -> Curve:
    """Vehicles that come and go; for the first five minutes of the bench the place is empty."""
    luck = bench.world.draw(name)
    period, comes, stays = luck.uniform(1800, 2700), luck.uniform(0.15, 0.3), luck.uniform(0.3, 0.5)

    def curve(at: float) -> float:
        clock = bench.world.clock
        began = (clock.unix_ms() - clock.now_us() / 1000) / 1000
        within = (at - began) / period % 1
        return float(at > began and comes <= within < comes + stays)

    return curve
