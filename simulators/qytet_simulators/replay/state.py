"""Where an interrupted replay goes on: the highest sequence number of each device that is marked stored.

A lost or damaged file costs only time: what is sent again is recognised by the platform and stored once.
"""

import hashlib
import os
from pathlib import Path

import msgspec

__all__ = ["State"]


class _Kept(msgspec.Struct):
    broker: str
    marked: dict[str, int]


class State:
    """A small file for one recording and one broker; `broker` is host and port, without credentials."""

    def __init__(self, folder: Path, name: str, identity: str, broker: str) -> None:
        self._broker = broker
        place = hashlib.sha256(f"{identity}/{broker}".encode()).hexdigest()[:16]
        self.path = folder / f"{name}-{place}.json"

    def load(self) -> dict[str, int]:
        """Device to highest marked seq; empty if there is nothing, or nothing that can be read."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=_Kept).marked
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def save(self, marked: dict[str, int]) -> None:
        """Replace the file as a whole, so that a crash leaves the old one or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(f".{os.getpid()}.tmp")
        fresh.write_bytes(msgspec.json.encode(_Kept(self._broker, marked)))
        fresh.replace(self.path)

    def clear(self) -> None:
        """Everything is stored: the next replay begins anew."""
        self.path.unlink(missing_ok=True)
