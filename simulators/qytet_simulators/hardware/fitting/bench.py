"""A bench on which sensors are soldered to a board: where things hang, and what there is to measure there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qytet_simulators.hardware.ports import PinDevice, UartDevice
from qytet_simulators.hardware.sensors.lamp import Lamp
from qytet_simulators.hardware.sensors.world import Truth, World
from qytet_simulators.hardware.wiring import Wiring
from qytet_simulators.instruments.i2c import ChipModel, I2cBus

__all__ = ["Bench", "Row", "Surroundings", "keyed"]

Row = Mapping[str, Any]
"""A row of a profile, or its options."""


@dataclass
class Surroundings:
    """A board's wiring, the world that its sensors see, and the sensors and lamps by their names in the profile."""

    world: World
    wiring: Wiring = field(default_factory=Wiring)
    sensors: dict[str, Any] = field(default_factory=dict)
    lamps: dict[str, Lamp] = field(default_factory=dict)


class Bench:
    """Solders row by row to what the board's file says; what several rows share (lines, converters) is made once."""

    def __init__(self, board: Row, world: World) -> None:
        self._board, self.world = board, world
        self.made = Surroundings(world)
        self.wiring = self.made.wiring
        self.wiring.others.append(world)
        self.volts: dict[tuple[str, int], dict[str, Callable[[], float]]] = {}
        """What is at the inputs of each analogue converter, by bus and address."""

    # ---- where things hang

    def pin(self, name: str) -> int:
        """The number of a pin, of its name or of a bus `pin:NAME` or `wire:NAME`. Raises KeyError."""
        return int(self._board["pins"][name.partition(":")[2] or name])

    def at_pin(self, row: Row, device: PinDevice) -> PinDevice:
        """A device at its pin."""
        self.wiring.pins[self.pin(row["bus"])] = device
        return device

    def bus(self, name: str) -> I2cBus:
        """An I2C bus, made once."""
        pins = self._board["i2c"][name]
        place = int(pins["scl"]), int(pins["sda"])
        return self.wiring.i2c.setdefault(place, I2cBus({}, self.world.seed))

    def on_i2c(self, row: Row, options: Row, chip: ChipModel, default: int) -> ChipModel:
        """A chip at its address. Raises ValueError if there is one."""
        address = options.get("address", default)
        bus = self.bus(row["bus"])
        if address in bus.chips:
            raise ValueError(f"two chips at {address:#x}")
        bus.chips[address] = chip
        return chip

    def on_uart(self, row: Row, device: UartDevice) -> UartDevice:
        """The device at a port: this one, or the one that was there before."""
        pins = self._board["uart"][row["bus"]]
        return self.wiring.uart.setdefault((int(pins["tx"]), int(pins["rx"])), device)

    # ---- what there is to measure

    def truth(self, row: Row, *names: str) -> Truth:
        """These properties, as the row's keys name them."""
        return self.world.now(**{name: keyed(name, row) for name in names})

    def value(self, key: str) -> Callable[[], float]:
        """One truth, now. Raises KeyError."""
        self.world.know(key)
        return lambda: self.world.value(key)

    def seed(self, row: Row) -> str:
        """Luck of a sensor's own."""
        return f"{self.world.seed} {row['name']}"


def keyed(name: str, row: Row) -> str:
    """A property as a row's values are called: with its channel, if it has one."""
    channel = row.get("options", {}).get("channel") or row.get("channel")
    return f"{name}:{channel}" if channel else name
