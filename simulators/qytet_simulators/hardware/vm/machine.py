"""`machine` as on an ESP32; everything behind a pin is asked of the bench."""

import struct

import _bench
from _bench import ask
from _counter import Counter
from _parts import ADC, PWM, RTC, WDT, Timer
from _uart import UART
from umachine import PinBase, Signal, mem8, mem16, mem32

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
SLEEP, DEEPSLEEP = 2, 4
PIN_WAKE, EXT0_WAKE, EXT1_WAKE, TIMER_WAKE, TOUCHPAD_WAKE, ULP_WAKE = 2, 2, 3, 4, 5, 6
_frequency = 160000000


class Pin(PinBase):
    """A pin; interrupts call the handler with the pin as soon as the program asks the bench anything."""

    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2
    WAKE_LOW, WAKE_HIGH = 4, 5
    DRIVE_0, DRIVE_1, DRIVE_2, DRIVE_3 = 0, 1, 2, 3

    def __new__(cls, *args, **options):
        return object.__new__(cls)

    def __init__(self, id, mode=-1, pull=-1, *, value=None, drive=-1, hold=None):
        self.id = id.id if isinstance(id, Pin) else id
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None, drive=-1, hold=None):
        """Set what is given; the level is there before the pin becomes an output."""
        pull = 0 if pull is None else pull
        ask(
            _bench.PIN_SET,
            self.id,
            mode,
            -1 if value is None else (1 if value else 0),
            struct.pack("<i", pull),
        )

    def value(self, level=None):
        """Its level, or a new one."""
        if level is None:
            return ask(_bench.PIN_GET, self.id)
        ask(_bench.PIN_SET, self.id, -1, 1 if level else 0, _KEEP)

    __call__ = value

    def on(self):
        """High."""
        self.value(1)

    def off(self):
        """Low."""
        self.value(0)

    def toggle(self):
        """The other level."""
        self.value(not self.value())

    def irq(self, handler=None, trigger=3, *, wake=None, hard=False):
        """Call `handler(pin)` at edges; None ends that."""
        if handler is None:
            trigger = 0
            _bench.handlers.pop(self.id, None)
        else:
            _bench.handlers[self.id] = lambda value, at: handler(self)
        ask(_bench.PIN_IRQ, self.id, trigger)

    def __repr__(self):
        return "Pin(%d)" % self.id


_KEEP = struct.pack("<i", -1)


class I2C:
    """A bus on two pins; chips that do not answer raise OSError(ENODEV), a bus held down ETIMEDOUT."""

    _PINS = ((18, 19), (25, 26))

    def __init__(self, id=-1, *, scl=None, sda=None, freq=400000, timeout=50000):
        if scl is None:
            scl, sda = self._PINS[id]
        self._pins = struct.pack("<HHi", _number(scl), _number(sda), freq)

    init = __init__

    def deinit(self):
        """Nothing to do."""

    def scan(self):
        """Addresses that answer."""
        return list(ask(_bench.I2C_SCAN, data=self._pins, want=True))

    def writeto(self, addr, buf, stop=True):
        """Bytes that were taken."""
        ask(_bench.I2C, addr, 0, data=self._pins + bytes(buf))
        return len(buf)

    def writevto(self, addr, vector, stop=True):
        """The same from several buffers."""
        return self.writeto(addr, b"".join(bytes(one) for one in vector))

    def readfrom(self, addr, nbytes, stop=True):
        """So many bytes."""
        return ask(_bench.I2C, addr, nbytes, data=self._pins, want=True)

    def readfrom_into(self, addr, buf, stop=True):
        """As many as fit."""
        ask(_bench.I2C, addr, len(buf), data=self._pins, into=buf)

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        """A register and what it becomes."""
        ask(_bench.I2C, addr, 0, data=self._pins + _register(memaddr, addrsize) + bytes(buf))

    def readfrom_mem(self, addr, memaddr, nbytes, *, addrsize=8):
        """So many bytes from a register on."""
        return ask(_bench.I2C, addr, nbytes, 1, self._pins + _register(memaddr, addrsize), want=True)

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        """The same into a buffer."""
        ask(_bench.I2C, addr, len(buf), 1, self._pins + _register(memaddr, addrsize), into=buf)


class SoftI2C(I2C):
    """The same bus, driven by the processor."""

    def __init__(self, scl, sda, *, freq=400000, timeout=50000):
        super().__init__(scl=scl, sda=sda, freq=freq)


def _register(address, size):
    return address.to_bytes(size // 8, "big")


def _number(pin):
    return pin.id if isinstance(pin, Pin) else pin


def reset():
    """As esp_restart."""
    ask(_bench.RESET)
    raise SystemExit  # not reached: the bench ends us


def soft_reset():
    """The program begins anew, the chip does not."""
    raise SystemExit


def reset_cause():
    """Why we began."""
    return _bench.cause


def wake_reason():
    """What ended deep sleep: only its timer does here."""
    return TIMER_WAKE if _bench.cause == DEEPSLEEP_RESET else 0


def deepsleep(time_ms=0):
    """Sleep and begin anew; 0 sleeps until the reset button."""
    ask(_bench.DEEPSLEEP, data=struct.pack("<q", int(time_ms) * 1000))
    raise SystemExit  # not reached


def lightsleep(time_ms=0):
    """Sleep and go on."""
    _bench.sleep_us(int(time_ms) * 1000)


def idle():
    """Let a tick go by."""
    _bench.sleep_us(1000)


def unique_id():
    """The station's MAC address."""
    return _bench.identity


def freq(hz=None):
    """The processor's."""
    global _frequency
    if hz is None:
        return _frequency
    if hz // 1000000 not in (20, 40, 80, 160, 240):
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    _frequency = hz


def disable_irq():
    """Handlers wait; returns what enable_irq wants."""
    before, _bench._raising = _bench._raising, True
    return before


def enable_irq(state=False):
    """Handlers run again, those that waited at the next question to the bench."""
    _bench._raising = state


def time_pulse_us(pin, pulse_level, timeout_us=1000000):
    """Length of a pulse; -2 if it did not begin in time, -1 if it did not end."""
    took = struct.unpack("<q", ask(_bench.PULSE, _number(pin), pulse_level, timeout_us, want=True))
    return took[0]
