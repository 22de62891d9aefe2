"""What is soldered to a simulated board, seen from the bench: the protocols that simulated sensors and loads fulfil.

Everything here runs on the host side, in the board's own thread, in virtual time (whole microseconds since the bench
was made; it never goes back). A device keeps no thread and never sleeps: it asks `line.clock.call_at` to be called.
Its methods must be quick. What the board does to it (bytes, levels, duty) comes in by method; what it does to the
board goes out through the line that `plugged` handed over.

    I2cDevice       a chip at an address: `write`, `read` (every model of `instruments.i2c_chips` is one)
    UartDevice      `plugged(line)`, `heard(data)`; speaks by `line.say(data)`
    PinDevice       `plugged(line)`, `driven(level)`; speaks by `line.drive(level)`: pulses, PIR, echo, switches
    OneWireDevice   a chip on a 1-Wire line, at byte level
    AnalogSource    a callable: volts at an ADC pin at this moment
    PwmLoad         told when the board changes its PWM

A device is powered when the board is: `plugged` is called at each power-on, so it begins there as a cold sensor does
(warm-up, default settings). A reset of the board's processor leaves devices powered and is not told.
"""

from collections.abc import Callable
from typing import Protocol

__all__ = [
    "AnalogSource",
    "Clock",
    "I2cDevice",
    "OneWireDevice",
    "PinDevice",
    "PinLine",
    "PwmLoad",
    "Timer",
    "UartDevice",
    "UartLine",
]

AnalogSource = Callable[[], float]
"""Volts at an ADC pin now."""


class Timer(Protocol):
    """A call that is due at some time."""

    def cancel(self) -> None:
        """Do not call; harmless when it has happened."""


class Clock(Protocol):
    """The bench's virtual time."""

    def now_us(self) -> int:
        """Microseconds since the bench was made."""

    def unix_ms(self) -> int:
        """The true time of day that belongs to it, Unix milliseconds."""

    def call_at(self, at_us: int, act: Callable[[], None]) -> Timer:
        """Call `act` when virtual time reaches `at_us` (at once if it has); calls of one instant keep their order."""


class I2cDevice(Protocol):
    """A chip at register level. If it has `plugged(clock)`, that is called at each power-on."""

    def write(self, data: bytes) -> bool:
        """Take bytes after the address; false refuses them (NACK)."""

    def read(self, count: int) -> bytes | None:
        """Give so many bytes; None refuses (NACK)."""


class UartLine(Protocol):
    """The wire from a device to the board's receiver."""

    @property
    def clock(self) -> Clock:
        """Virtual time."""

    def say(self, data: bytes, after_us: int = 0) -> None:
        """Send bytes, each taking its time at the board's baud rate, beginning `after_us` from now.

        Bytes that are still going out delay the ones said later. What the board has not opened, or has no room for
        in its receive buffer, is lost, as on a wire.
        """


class UartDevice(Protocol):
    """Whatever speaks and hears bytes."""

    def plugged(self, line: UartLine) -> None:
        """It has power now."""

    def heard(self, data: bytes) -> None:
        """The board sent this, and its last bit has just arrived."""


class PinLine(Protocol):
    """The wire between a device and one pin of the board."""

    number: int

    @property
    def clock(self) -> Clock:
        """Virtual time."""

    def drive(self, level: int | None) -> None:
        """Put 0 or 1 on the pin now; None lets go (the board's pull then decides). Edges raise the pin's interrupt."""


class PinDevice(Protocol):
    """Whatever is at one pin. A device with several wires gives one PinDevice for each."""

    def plugged(self, line: PinLine) -> None:
        """It has power now."""

    def driven(self, level: int | None) -> None:
        """The board drives its pin to 0 or 1, or has let go of it (None)."""


class PwmLoad(Protocol):
    """Whatever a PWM output drives."""

    def modulated(self, frequency_hz: int, duty: float) -> None:
        """The board's PWM changed; `duty` is 0.0 to 1.0, and 0 Hz means that it was switched off."""


class OneWireDevice(Protocol):
    """A chip on a 1-Wire line. If it has `plugged(clock)`, that is called at each power-on."""

    rom: bytes
    """Its 8 bytes: family, serial number, CRC. The line does ROM commands (search, match, skip) by it."""

    def reset(self) -> bool:
        """A reset pulse; true answers it with presence."""

    def write(self, byte: int) -> None:
        """A byte after the chip was selected: its function commands and their data."""

    def read(self) -> int:
        """The next byte it sends; 0xFF when it has nothing to say."""
