"""The board as the application sees it at its start: buses and pins by the board's names, the radio, and its chip.

Tests give something else with the same face; nothing but this module and `chip.py` imports `machine`.
"""

import machine

from qytet_node.chip import Chip


class Hardware:
    """`board` is a checked board file; `chip` is what is needed for ever, `folder` as it says."""

    def __init__(self, board, folder="/"):
        self.chip = Chip(folder)
        self._board = board
        self._buses = {}

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

    def station(self):
        """The radio as a station."""
        import network

        return network.WLAN(network.STA_IF)
