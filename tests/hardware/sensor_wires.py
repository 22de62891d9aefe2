"""The other end of a simulated sensor's wire, where a test listens instead of a board."""

from qytet_simulators.hardware.clock import VirtualClock
from qytet_simulators.hardware.ports import PinDevice, UartDevice

START_MS = 1_788_256_800_000


class Line:
    """A wire to a sensor: what it says, and when its first byte went out."""

    def __init__(self, device: UartDevice) -> None:
        self.clock = VirtualClock(START_MS)
        self.said: list[bytes] = []
        self._device = device
        device.plugged(self)

    def say(self, data: bytes, after_us: int = 0) -> None:
        self.clock.call_at(self.clock.now_us() + after_us, lambda: self.said.append(data))

    def ask(self, text: str, wait_ms: int = 50) -> list[str]:
        """What it says to these bytes (hex) within a time."""
        self.said.clear()
        self._device.heard(bytes.fromhex(text))
        self.wait(wait_ms / 1000)
        return [one.hex(" ") for one in self.said]

    def wait(self, seconds: float) -> None:
        self.clock.advance(self.clock.now_us() + int(seconds * 1e6))


class PinWire:
    """A pin that counts the times it was pulled to a level."""

    number = 27

    def __init__(self, device: PinDevice) -> None:
        self.clock = VirtualClock(START_MS)
        self.driven: list[int | None] = []
        device.plugged(self)

    def drive(self, level: int | None) -> None:
        self.driven.append(level)
