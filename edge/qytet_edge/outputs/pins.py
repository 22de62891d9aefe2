"""Outputs on the Pi's pins: a relay, valve or beacon (`gpio`), and dimming by pulse width (`pwm`)."""

import asyncio
import errno
from typing import Any, Literal

from pydantic import Field

from qytet.doctor.finding import Finding
from qytet_edge.inbox.gpio import PIN, Pins, as_os_errors, check, pins
from qytet_edge.inbox.kinds import Context, OutputConfig

__all__ = ["Config", "Dimmer", "GpioConfig", "PwmConfig", "Switch", "create", "probe"]

_ON = 0.5  # from here on a value means "on"


class GpioConfig(OutputConfig):
    """A pin that is on or off."""

    kind: Literal["gpio"]
    pin: str = Field(
        pattern=PIN,
        coerce_numbers_to_str=True,
        description="BCM number of the pin, such as 17, or a name (BOARD11).",
    )
    active_high: bool = Field(
        True, description="Whether on is 3.3 V; false for relay boards that switch on at 0 V."
    )
    safe: bool = Field(
        False,
        description="State at the start, until a rule says otherwise, and at the stop. After the stop the pin is let "
        "go: wire the relay so that it then falls into the same state.",
    )


class PwmConfig(OutputConfig):
    """A pin that dims from 0 to 100 %."""

    kind: Literal["pwm"]
    pin: str = Field(
        pattern=PIN,
        coerce_numbers_to_str=True,
        description="BCM number of the pin, such as 18, or a name (BOARD12).",
    )
    active_high: bool = Field(True, description="Whether on is 3.3 V.")
    frequency_hz: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Pulses a second; what the driver of the lamp takes (often 100 to 1000).",
    )
    safe: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Level in % at the start, until a rule says otherwise, and at the stop.",
    )


Config = GpioConfig | PwmConfig


class _PinOutput:
    """A pin that is opened in its safe state, and left in it.

    Setting a pin is one call to the kernel that never waits; only opening, which imports and opens, is done in
    a thread.
    """

    def __init__(self, config: Config, factory: Pins) -> None:
        self.name = config.name
        self._config = config
        self._factory = factory
        self._device: Any = None
        self._claiming: asyncio.Future[Any] | None = None

    async def open(self) -> None:
        """Claim the pin and drive it to its safe state; does nothing if that is done. Raises OSError."""
        if self._device is None:
            claiming = self._claiming or asyncio.ensure_future(asyncio.to_thread(self._claim))
            self._claiming = claiming  # whoever is cancelled while it waits leaves the pin to the next
            try:
                self._device = await asyncio.shield(claiming)
            finally:
                if claiming.done():
                    self._claiming = None

    async def set(self, value: float) -> None:
        """Drive it. Raises OSError if the pin cannot be used or the value makes no sense."""
        level = self._level(value)
        await self.open()
        with as_os_errors(self._what()):
            self._device.value = level

    async def close(self) -> None:
        """Drive it to its safe state and let it go (it becomes an input)."""
        if self._device is not None:
            device, self._device = self._device, None
            with as_os_errors(self._what()):
                try:
                    device.value = self._level(float(self._config.safe))
                finally:
                    device.close()

    def _what(self) -> str:
        return f"output {self.name}, pin {self._config.pin}"

    def _claim(self) -> Any:
        with as_os_errors(self._what()):
            return self._made(self._factory())

    def _level(self, value: float) -> float:
        raise NotImplementedError

    def _made(self, factory: Any) -> Any:
        raise NotImplementedError


class Switch(_PinOutput):
    """On from 0.5, off below."""

    def __init__(self, config: GpioConfig, factory: Pins) -> None:
        super().__init__(config, factory)
        self._active_high = config.active_high

    def _level(self, value: float) -> float:
        if value != value:  # NaN
            raise OSError(errno.EINVAL, f"output {self.name}: not a number")
        return float(value >= _ON)

    def _made(self, factory: Any) -> Any:
        from gpiozero import OutputDevice

        return OutputDevice(
            self._config.pin,
            active_high=self._active_high,
            initial_value=bool(self._config.safe),
            pin_factory=factory,
        )


class Dimmer(_PinOutput):
    """0 to 100 %."""

    def __init__(self, config: PwmConfig, factory: Pins) -> None:
        super().__init__(config, factory)
        self._pwm = config

    def _level(self, value: float) -> float:
        if not 0 <= value <= 100:
            raise OSError(errno.EINVAL, f"output {self.name}: {value:g} is not 0 to 100 %")
        return value / 100

    def _made(self, factory: Any) -> Any:
        from gpiozero import PWMOutputDevice

        return PWMOutputDevice(
            self._config.pin,
            active_high=self._pwm.active_high,
            initial_value=self._pwm.safe / 100,
            frequency=self._pwm.frequency_hz,
            pin_factory=factory,
        )


def create(config: Config, context: Context) -> Switch | Dimmer:
    """The output; the pin is claimed by `open` or the first `set`."""
    factory = pins(context)
    return Switch(config, factory) if isinstance(config, GpioConfig) else Dimmer(config, factory)


async def probe(config: Config, context: Context) -> list[Finding]:
    """Whether the pin is there and may be used; moves nothing."""
    return [await asyncio.to_thread(check, context, f"Output {config.name}", config.pin)]
