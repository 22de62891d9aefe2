"""The inside of the simulated ESP32 that is neither pins nor radio: flash, watchdog, timers, RTC."""

import errno
import struct
from collections.abc import Callable

from qytet_simulators.hardware.clock import Due, VirtualClock
from qytet_simulators.hardware.flash import FlashFile, PowerCutError
from qytet_simulators.hardware.protocol import Answer, Handler, Interrupt, Op, Question

__all__ = ["Chip", "data_partition", "has_firmware"]

_TABLE, _MAGIC = 0x8000, 0x50AA
_DATA_AT = 0x200000
"""Where the stock images for ESP32 begin their file system if the table has none."""
_TIMERS = 1000
_WRITE_US, _ERASE_US = 1, 45_000
"""A written byte and an erased 4 KB block (W25Q32 data sheet, 9.6: page program 0.4 ms a 256 bytes, erase 45 ms)."""


def data_partition(flash: FlashFile) -> tuple[int, int]:
    """Offset and size of the file system: as the flashed table says, or what stock images take."""
    for at in range(_TABLE, _TABLE + 0xC00, 32):
        magic, kind, _, offset, size = struct.unpack("<HBBII", flash.read(at, 12))
        if magic != _MAGIC:
            break
        if kind == 1 and flash.read(at + 12, 16).rstrip(b"\0") in (b"vfs", b"ffat"):
            return offset, size
    start = _DATA_AT if flash.size > _DATA_AT else 0
    return start, flash.size - start


def has_firmware(flash: FlashFile, bootloader_at: int) -> bool:
    """Whether an image begins where this chip's ROM looks for it."""
    return flash.read(bootloader_at, 1) == b"\xe9"


class Chip:
    """`on_cut()` is called when the power goes in a flash operation, `on_bite()` when the watchdog was not fed."""

    def __init__(
        self,
        clock: VirtualClock,
        flash: FlashFile,
        interrupt: Callable[[Interrupt], None],
        on_cut: Callable[[], None],
        on_bite: Callable[[], None],
    ) -> None:
        self._clock, self._flash = clock, flash
        self._interrupt, self._on_cut, self._on_bite = interrupt, on_cut, on_bite
        self._watchdog: Due | None = None
        self._timers: dict[int, Due] = {}
        self.watchdog_ms = 0
        """The limit that the program gave; 0 if it made no watchdog."""
        self.rtc_us = -clock.now_us()
        self.rtc_memory = b""
        self.handlers: dict[Op, Handler] = {
            Op.FLASH_WRITE: self._write,
            Op.FLASH_ERASE: self._erase,
            Op.WDT: self._feed,
            Op.TIMER: self._timer,
            Op.RTC: self._set_rtc,
            Op.RTC_MEMORY: self._memory,
        }

    def reset(self) -> None:
        """The processor begins anew: watchdog and timers are off, the RTC goes on."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog, self.watchdog_ms = None, 0
        for due in self._timers.values():
            due.cancel()
        self._timers.clear()

    def power_off(self) -> None:
        """The RTC loses everything too."""
        self.reset()
        self.rtc_memory = b""

    def power_on(self) -> None:
        """The RTC begins at 2000-01-01."""
        self.rtc_us = -self._clock.now_us()

    def _write(self, question: Question) -> Answer:
        return self._flash_operation(
            lambda: self._flash.write(question.b, question.data), len(question.data) * _WRITE_US
        )

    def _erase(self, question: Question) -> Answer:
        blocks = question.c // self._flash.block
        return self._flash_operation(lambda: self._flash.erase(question.b, question.c), blocks * _ERASE_US)

    def _flash_operation(self, act: Callable[[], None], took_us: int) -> Answer:
        try:
            act()
        except PowerCutError:
            self._on_cut()
            return Answer(-errno.EIO)
        except ValueError:
            return Answer(-errno.EINVAL)
        self._clock.advance(self._clock.now_us() + took_us)
        return Answer()

    def _feed(self, question: Question) -> Answer:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self.watchdog_ms = question.b
        self._watchdog = self._clock.call_at(self._clock.now_us() + question.b * 1000, self._on_bite)
        return Answer()

    def _timer(self, question: Question) -> Answer:
        (period_us,) = struct.unpack("<q", question.data)
        before = self._timers.pop(question.a, None)
        if before is not None:
            before.cancel()
        if period_us > 0:
            self._begin_timer(question.a, period_us, again=bool(question.b))
        return Answer()

    def _begin_timer(self, number: int, period_us: int, *, again: bool) -> None:
        def fire() -> None:
            self._interrupt(Interrupt(_TIMERS + number, 0, self._clock.now_us()))
            if again:
                self._begin_timer(number, period_us, again=True)

        self._timers[number] = self._clock.call_at(self._clock.now_us() + period_us, fire)

    def _set_rtc(self, question: Question) -> Answer:
        (self.rtc_us,) = struct.unpack("<q", question.data)
        return Answer()

    def _memory(self, question: Question) -> Answer:
        if question.a:
            self.rtc_memory = question.data
            return Answer()
        return Answer(0, self.rtc_memory)
