"""What the ESP32's prompt does and the VM's does not: a soft reset that comes back to the raw prompt it came from."""

from collections.abc import Callable

__all__ = ["SoftReset"]

_RAW, _FRIENDLY = b"\x01", b"\x02"
_PROMPT, _BANNER = b">>> ", b"MicroPython "
_KEPT = 256
"""Bytes that may be banner and prompt; what was said before them goes on at once."""


class SoftReset:
    """Between the VM and the console: `say` is the console, `type_in` the VM's keys.

    After a soft reset from the raw prompt the VM begins at its friendly one: its banner is kept back, and it is sent to
    the raw one, where whoever asked for the reset expects it.
    """

    def __init__(self, say: Callable[[bytes], None], type_in: Callable[[bytes], None]) -> None:
        self._say, self._type_in = say, type_in
        self._kept: bytearray | None = None
        self.raw = False
        """Whether the keys so far lead to the raw prompt."""

    def typed(self, data: bytes) -> None:
        """Keys on their way to the VM."""
        last = max(data.rfind(_RAW), data.rfind(_FRIENDLY))
        if last >= 0:
            self.raw = data[last : last + 1] == _RAW

    def forget(self) -> None:
        """A reset of the chip: the prompt is a friendly one."""
        self.raw, self._kept = False, None

    def begins_again(self, raw: bool) -> None:
        """The VM is about to start anew."""
        self._kept = bytearray() if raw else None

    def said(self, data: bytes) -> None:
        """What the VM says."""
        if self._kept is None:
            self._say(data)
            return
        self._kept += data
        before = bytes(self._kept[:-_KEPT])
        if before:
            del self._kept[:-_KEPT]
            self._say(before)
        if self._kept.endswith(_PROMPT):
            kept, self._kept = bytes(self._kept), None
            at = kept.rfind(_BANNER)
            self._say(kept[: max(at, 0)])
            self._type_in(_RAW)
