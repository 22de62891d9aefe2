"""What is soldered where: devices by the pins of the board they hang on."""

from dataclasses import dataclass, field

from qytet_simulators.hardware.ports import AnalogSource, OneWireDevice, PinDevice, PwmLoad, UartDevice
from qytet_simulators.instruments.i2c import I2cBus

__all__ = ["Wiring"]


@dataclass
class Wiring:
    """One board's surroundings.

    An I2C bus is found by its (scl, sda), a serial device by the (tx, rx) of the board that lead to it; a program that
    is told other pins finds nothing, as on a bench. `I2cBus` counts down injected faults (`nacks`, `spoilt`,
    `held_down`).
    """

    i2c: dict[tuple[int, int], I2cBus] = field(default_factory=dict)
    uart: dict[tuple[int, int], UartDevice] = field(default_factory=dict)
    pins: dict[int, PinDevice] = field(default_factory=dict)
    adc: dict[int, AnalogSource] = field(default_factory=dict)
    pwm: dict[int, PwmLoad] = field(default_factory=dict)
    onewire: dict[int, list[OneWireDevice]] = field(default_factory=dict)
    others: list[object] = field(default_factory=list)
    """Whatever hangs on no pin and wants to know of power: `plugged(clock)`."""

    def devices(self) -> list[object]:
        """Everything that may want to know when there is power, each once."""
        chips: list[object] = [*self.others]
        chips += [chip for bus in self.i2c.values() for chip in bus.chips.values()]
        chips += [chip for line in self.onewire.values() for chip in line]
        return chips
