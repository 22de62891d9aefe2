"""An I2C bus as the drivers see it: write, read, and write-then-read of bytes; OSError if nobody answers."""

import errno
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from smbus2 import SMBus, i2c_msg

__all__ = ["Bus", "ChecksumError", "Chip", "LinuxBus", "Pause", "Sample"]

Pause = Callable[[float], object]
"""Waits so many seconds in the caller's thread, or until the source ends."""


class ChecksumError(OSError):
    """What a chip said was spoilt on the way."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EBADMSG, what)


class Sample(NamedTuple):
    """What a chip measured, and what is wrong with some of it (sentences); no values means not yet ready."""

    values: dict[str, float | None]
    wrong: tuple[str, ...] = ()


class Bus(Protocol):
    """Blocking; an address is 7 bits. Raises OSError: no answer (ENXIO, EREMOTEIO), a bus held down (ETIMEDOUT)."""

    def write(self, address: int, data: bytes) -> None:
        """Write bytes."""

    def read(self, address: int, count: int) -> bytes:
        """Read `count` bytes."""

    def exchange(self, address: int, data: bytes, count: int) -> bytes:
        """Write, then read `count` bytes without letting go of the bus: how registers are read."""


class Chip(Protocol):
    """A driver: it knows one chip's registers and keeps nothing open."""

    keys: tuple[str, ...]
    """What it gives, as keys without a channel of the configuration."""
    settle_s: float
    """What it measures sooner after `start` does not count."""

    def start(self, bus: Bus) -> None:
        """Make sure that it is there, and set it up; also after a fault."""

    def sample(self, bus: Bus) -> Sample:
        """Measure, or read what was measured."""

    def stop(self, bus: Bus) -> None:
        """Leave it idle."""

    def identify(self, bus: Bus) -> str:
        """What answers at its address, as a phrase; "" if it is the right chip. Disturbs no measurement."""


class LinuxBus:
    """A bus of the kernel (`/dev/i2c-1`); a context manager. Its adapter gives up on a held bus by itself."""

    def __init__(self, path: str) -> None:
        self._bus = open_smbus(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus.close()

    def write(self, address: int, data: bytes) -> None:
        """Write bytes."""
        self._bus.i2c_rdwr(i2c_msg.write(address, data))

    def read(self, address: int, count: int) -> bytes:
        """Read `count` bytes."""
        answer = i2c_msg.read(address, count)
        self._bus.i2c_rdwr(answer)
        return bytes(answer)

    def exchange(self, address: int, data: bytes, count: int) -> bytes:
        """Write, then read with a repeated start."""
        answer = i2c_msg.read(address, count)
        self._bus.i2c_rdwr(i2c_msg.write(address, data), answer)
        return bytes(answer)


def open_smbus(path: str) -> Any:
    """The kernel's bus. Raises OSError if it is not there or may not be used."""
    return SMBus(path)
