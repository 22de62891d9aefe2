"""What the tests of pins share: a pin on a clock of its own, and who watches it."""

import asyncio
from pathlib import Path

from gpiozero.pins.mock import MockFactory, MockPin
from pydantic import TypeAdapter

from qytet_edge.inbox import pins
from qytet_edge.inbox.kinds import Context

__all__ = ["READ", "Street", "context", "watched"]

READ: TypeAdapter[pins.Config] = TypeAdapter(pins.Config)


class Street:
    """A pin with a clock of its own, which stands still unless it is told to go on."""

    def __init__(self, factory: MockFactory, pin: int = 17) -> None:
        self.factory = factory
        self.pin: MockPin = factory.pin(pin)
        self.now = 1000.0

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def close_contact(self) -> None:
        self.pin.drive_low()

    def open_contact(self) -> None:
        self.pin.drive_high()

    def pulse(self, width: float = 0.1, rest: float = 0.4, bounces: int = 3) -> None:
        for bounce in range(bounces + 1):
            self.close_contact()
            self.wait(0.001 if bounce < bounces else width)
            self.open_contact()
            self.wait(0.001 if bounce < bounces else rest)


def context(street: Street, tmp_path: Path = Path()) -> Context:
    made = iter([street.factory])
    return Context(city="korce", gateway="gw-1", folder=tmp_path, data_dir=tmp_path, pins=lambda: next(made))


async def watched(street: Street) -> None:
    """Wait until the source has claimed the pin."""
    while street.pin.when_changed is None:  # noqa: ASYNC110 (gpiozero tells nobody)
        await asyncio.sleep(0.001)
