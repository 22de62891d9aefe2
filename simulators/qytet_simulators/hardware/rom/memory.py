"""The RAM that a host fills, to have it run what is there."""

from qytet_simulators.hardware.rom.packets import RefusedError, Why

__all__ = ["Memory"]

_MOST = 1 << 20
"""More than any of the chips has."""


class Memory:
    """What was loaded since the last reset, piece by piece."""

    def __init__(self) -> None:
        self._loaded: list[tuple[int, int]] = []
        self._at = self._left = 0
        self._begun = False

    def begin(self, address: int, size: int) -> None:
        """So many bytes are about to come for that address."""
        if size > _MOST:
            raise RefusedError(Why.FAILED)
        self._at, self._left, self._begun = address, size, True

    def take(self, block: bytes) -> None:
        """The next of them."""
        if not self._begun:
            raise RefusedError(Why.NOT_BEGUN)
        if len(block) > self._left:
            raise RefusedError(Why.TOO_MUCH)
        if block:
            self._loaded.append((self._at, self._at + len(block)))
        self._at += len(block)
        self._left -= len(block)

    def start(self, entry: int) -> None:
        """Run what is there; only what was loaded can run."""
        if not any(begin <= entry < end for begin, end in self._loaded):
            raise RefusedError(Why.FAILED)
