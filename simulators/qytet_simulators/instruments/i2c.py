"""An I2C bus in memory: chips at addresses, and what goes wrong on real wires.

It takes the place of smbus2's bus: `i2c_rdwr` with messages that have `addr`, `flags`, `len` and `buf`.
"""

import errno
import random
import threading
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["ChipModel", "I2cBus"]

_READ_FLAG = 0x0001


class ChipModel(Protocol):
    """A chip at register level."""

    def write(self, data: bytes) -> bool:
        """Take bytes after the address; false refuses them (NACK)."""

    def read(self, count: int) -> bytes | None:
        """Give so many bytes; None refuses (NACK)."""


class I2cBus:
    """Chips by address. Faults are counted down, one a transfer, for the address that is given."""

    def __init__(self, chips: dict[int, ChipModel], seed: int = 0) -> None:
        self.chips = chips
        self.closed = 0
        self.nacks: dict[int, int] = {}
        """How many transfers a chip refuses from now on."""
        self.spoilt: dict[int, int] = {}
        """In how many reads of a chip one bit is wrong from now on."""
        self.held_down = False
        """Some chip holds the data line: nothing works until it is let go."""
        self.transfers = 0
        self.on_transfer: Callable[[], None] = lambda: None
        self._luck = random.Random(seed)
        self._lock = threading.Lock()

    def i2c_rdwr(self, *messages: Any) -> None:
        """One transaction, as smbus2.SMBus has it. Raises OSError as the kernel does."""
        self.on_transfer()
        with self._lock:
            self.transfers += 1
            if self.held_down:
                raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")
            for message in messages:
                self._message(message)

    def close(self) -> None:
        """As smbus2 has it."""
        self.closed += 1

    def _message(self, message: Any) -> None:
        chip = self.chips.get(message.addr)
        if chip is None or self._due(self.nacks, message.addr):
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        if not message.flags & _READ_FLAG:
            data = bytes(message)
            if data and not chip.write(data):  # an address alone is taken by whoever has it
                raise OSError(errno.EREMOTEIO, "Remote I/O error")
            return
        answer = chip.read(message.len)
        if answer is None:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        if self._due(self.spoilt, message.addr):
            answer = self._one_bit_off(answer)
        for at, byte in enumerate(answer):
            message.buf[at] = bytes([byte])

    def _one_bit_off(self, data: bytes) -> bytes:
        spoilt = bytearray(data)
        spoilt[self._luck.randrange(len(spoilt))] ^= 1 << self._luck.randrange(8)
        return bytes(spoilt)

    @staticmethod
    def _due(faults: dict[int, int], address: int) -> bool:
        left = faults.get(address, 0)
        faults[address] = max(0, left - 1)
        return left > 0
