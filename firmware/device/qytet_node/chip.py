"""The chip itself: ticks, clock, watchdog, resets, temperature, storage."""

import os
import time

import machine

_EPOCH_MS = 946684800000 if time.gmtime(0)[0] == 2000 else 0
"""Where `time.time()` counts from on this port."""


class Chip:
    """`folder` lies on the partition whose storage is told."""

    ticks_ms = staticmethod(time.ticks_ms)
    ticks_diff = staticmethod(time.ticks_diff)

    def __init__(self, folder="/"):
        self._folder = folder

    def watchdog(self, ms):
        """The watchdog, from now on."""
        return machine.WDT(timeout=ms)

    def reset(self):
        """Begin anew."""
        machine.reset()

    def reset_cause(self):
        """1 power on, 2 reset pin, 3 watchdog, 4 deep sleep, 5 software: the catalogue's numbers are the chip's."""
        return machine.reset_cause()

    def temperature(self):
        """Of the chip in Cel, where it can tell."""
        try:
            import esp32

            return esp32.mcu_temperature()
        except (ImportError, AttributeError):
            return None

    def storage(self):
        """% of the flash's file system that is in use."""
        found = os.statvfs(self._folder)
        return 100 - 100 * found[3] / found[2] if found[2] else None

    def rtc_ms(self):
        """Unix milliseconds by the chip's clock, which begins in 2000 after a power cut."""
        return time.time() * 1000 + _EPOCH_MS

    def set_rtc(self, unix_ms):
        """Set it: certificates are checked against it, and it is all there is after a restart without a network."""
        when = time.gmtime((unix_ms - _EPOCH_MS) // 1000)
        machine.RTC().datetime((when[0], when[1], when[2], when[6], when[3], when[4], when[5], 0))
