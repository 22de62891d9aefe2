"""For the VM: a board's buses and pins that are there and do nothing, and what of them a profile uses."""

import time


class Pin:
    """Remembers what it was told."""

    IRQ_FALLING, IRQ_RISING = 2, 1

    def __init__(self):
        self.level, self.duty, self.handler = 0, 0, None

    def value(self, level=None):
        if level is not None:
            self.level = level
        return self.level

    def duty_u16(self, duty):
        self.duty = duty

    def irq(self, handler=None, trigger=0):
        self.handler = handler


class Nothing:
    """A bus on which nobody answers."""

    def any(self):
        return 0

    def write(self, data):
        return len(data)

    def writeto(self, address, data, stop=True):
        raise OSError(19)

    def readfrom(self, address, size, stop=True):
        raise OSError(19)

    def readfrom_mem(self, address, register, size, addrsize=8):
        raise OSError(19)

    def writeto_mem(self, address, register, data, addrsize=8):
        raise OSError(19)

    def reset(self, required=False):
        return False


class Dog:
    """A watchdog that counts its meals."""

    def __init__(self):
        self.fed = 0

    def feed(self):
        self.fed += 1


class Hardware:
    """As `qytet_node.hardware.Hardware`, of fakes."""

    ticks_ms = staticmethod(time.ticks_ms)
    ticks_diff = staticmethod(time.ticks_diff)

    def __init__(self, board, radio=None, cause=1):
        self.board, self.radio, self.cause = board, radio, cause
        self.used, self.buses, self.pins = [], {}, {}
        self.resets = self.clock_ms = 0
        self.dog = Dog()
        self.chip = self

    def i2c(self, name):
        bus = self.board["i2c"][name]
        return self._use(name, bus["scl"], bus["sda"])

    def uart(self, name, baud):
        pins = self.board["uart"][name]
        return self._use(name, pins["tx"], pins["rx"])

    def input(self, name, pull=None):
        return self._pin(name)

    def output(self, name):
        return self._pin(name)

    def pwm(self, name, hz):
        return self._pin(name)

    def wire(self, name):
        return self._use(name, self.pin(name))

    def pin(self, name):
        return self.board["pins"][name]

    def station(self):
        return self.radio

    def watchdog(self, ms):
        return self.dog

    def reset(self):
        self.resets += 1

    def reset_cause(self):
        return self.cause

    def temperature(self):
        return None

    def storage(self):
        return 12.5

    def rtc_ms(self):
        return self.clock_ms

    def set_rtc(self, unix_ms):
        self.clock_ms = unix_ms

    def _pin(self, name):
        self._use(name, self.pin(name))
        return self.pins.setdefault(name, Pin())

    def _use(self, name, *pins):
        if name not in self.buses:
            self.used += list(pins)
            self.buses[name] = Nothing()
        return self.buses[name]
