"""Everything that a node of a profile measures with, soldered to its board: profiles and boards are data.

    around = surroundings(profile, board, seed=7)
    with Board(flash, around.wiring) as board: …
    around.world.value("pm2_5", unix_ms)         the truth
    around.sensors["particles"].silent = True    a fault

`profile` and `board` are what lies in the node's `profiles/NAME.json` and `boards/NAME.json`; `fitted` changes them as
the node's own settings do.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from qytet.errors import InputError
from qytet_simulators.hardware.fitting import air, contacts, distances, power, structures, voltages
from qytet_simulators.hardware.fitting.bench import Bench, Row, Surroundings
from qytet_simulators.hardware.sensors.world import World
from qytet_simulators.hardware.wiring import Wiring

__all__ = ["DRIVERS", "Surroundings", "fitted", "surroundings", "wiring_for"]

DRIVERS: dict[str, Callable[[Bench, Row, Row], object]] = {
    "adxl355": structures.adxl355,
    "bh1750": air.bh1750,
    "bme280": air.bme280,
    "bme688": air.bme688,
    "contact": contacts.contact,
    "current_loop": voltages.current_loop,
    "ds18b20": air.ds18b20,
    "electrochemical": voltages.electrochemical,
    "jsn_sr04t": distances.jsn_sr04t,
    "loop": contacts.loop,
    "mmc5603": structures.mmc5603,
    "pir": contacts.pir,
    "pms5003": air.pms5003,
    "pulse": contacts.pulse,
    "pzem004t": power.pzem004t,
    "radar": contacts.radar,
    "scd41": air.scd41,
    "sds011": air.sds011,
    "sps30": air.sps30,
    "tf_luna": distances.tf_luna,
}
"""By the names of the node's drivers."""


def wiring_for(profile: Mapping[str, Any], board: Mapping[str, Any], seed: int = 0) -> Wiring:
    """The wiring alone."""
    return surroundings(profile, board, seed).wiring


def surroundings(profile: Mapping[str, Any], board: Mapping[str, Any], seed: int = 0) -> Surroundings:
    """All sensors and outputs of a profile at the pins that the board says. Raises InputError for what nobody knows."""
    bench = Bench(board, World(seed))
    for row in profile.get("outputs", ()):
        power.lamp(bench, row)
    for row in profile["sensors"]:
        bench.made.sensors[row["name"]] = _soldered(bench, row)
    return bench.made


def fitted(
    profile: Mapping[str, Any], board: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Profile and board as a node's settings (`/etc/node.json`) change them: other pins, options, sensors left out."""
    changed, pins = deepcopy(dict(profile)), deepcopy(dict(board))
    pins["pins"].update(settings.get("pins") or {})
    for name, change in (settings.get("sensors") or {}).items():
        rows = changed["sensors"]
        place = next((number for number, row in enumerate(rows) if row["name"] == name), None)
        if place is None:
            raise InputError(f"The profile has no sensor {name}.")
        if change is None:
            del rows[place]
        else:
            options = {**rows[place].get("options", {}), **change.get("options", {})}
            rows[place] = {**rows[place], **change, "options": options}
    return changed, pins


def _soldered(bench: Bench, row: Row) -> object:
    if row["driver"] not in DRIVERS:
        raise InputError(
            f"The sensor {row['name']} cannot be simulated.",
            why=f"No simulated sensor belongs to the driver {row['driver']}.",
            do="These are known: " + ", ".join(sorted(DRIVERS)) + ".",
        )
    try:
        return DRIVERS[row["driver"]](bench, row, row.get("options", {}))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The sensor {row['name']} cannot be wired.", why=f"{type(error).__name__}: {error}"
        ) from error
