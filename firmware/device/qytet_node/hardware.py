"""The chip as the application sees it: buses and pins by the board's names, clock, watchdog, resets, storage.

Tests give something else with the same face; nothing outside this module imports `machine`.
"""

import os
import time

import machine

_EPOCH_MS = 946684800000 if time.gmtime(0)[0] == 2000 else 0
"""Where `time.time()` counts from on this port."""


class Hardware:
    """`board` is a checked board file; `folder` lies on the partition whose storage is told."""

    ticks_ms = staticmethod(time.ticks_ms)
    ticks_diff = staticmethod(time.ticks_diff)

    def __init__(self, board, folder="/"):
        self._board, self._folder = board, folder
        self._buses = {}

    # ---- buses and pins

    def i2c(self, name):
        """A bus, made once."""
        if name not in self._buses:
            bus = self._board["i2c"][name]
            self._buses[name] = machine.I2C(
                int(name[-1]),
                scl=machine.Pin(bus["scl"]),
                sda=machine.Pin(bus["sda"]),
                freq=bus.get("hz", 100000),
            )
        return self._buses[name]

    def uart(self, name, baud):
        """A port with room for the longest frame."""
        pins = self._board["uart"][name]
        return machine.UART(int(name[-1]), baudrate=baud, tx=pins["tx"], rx=pins["rx"], rxbuf=512)

    def input(self, name, pull=None):
        """An input; pulled "up" unless told otherwise: contacts switch to ground."""
        pull = {"down": machine.Pin.PULL_DOWN, "none": None}.get(pull, machine.Pin.PULL_UP)
        return machine.Pin(self.pin(name), machine.Pin.IN, pull)

    def output(self, name):
        """A switched output, off."""
        return machine.Pin(self.pin(name), machine.Pin.OUT, value=0)

    def pwm(self, name, hz):
        """A modulated output, off."""
        return machine.PWM(machine.Pin(self.pin(name)), freq=hz, duty_u16=0)

    def wire(self, name):
        """A 1-Wire bus."""
        import onewire

        return onewire.OneWire(machine.Pin(self.pin(name)))

    def pin(self, name):
        """The number of a pin. Raises KeyError."""
        return self._board["pins"][name]

    # ---- the chip

    def station(self):
        """The radio as a station."""
        import network

        return network.WLAN(network.STA_IF)

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

    # ---- the clock that a restart leaves alone

    def rtc_ms(self):
        """Unix milliseconds by the chip's clock, which begins in 2000 after a power cut."""
        return time.time() * 1000 + _EPOCH_MS

    def set_rtc(self, unix_ms):
        """Set it: certificates are checked against it, and it is all there is after a restart without a network."""
        when = time.gmtime((unix_ms - _EPOCH_MS) // 1000)
        machine.RTC().datetime((when[0], when[1], when[2], when[6], when[3], when[4], when[5], 0))
