"""The smaller parts of `machine`: ADC, PWM, RTC, watchdog, timers."""

import struct

import _bench
from _bench import ask

_TIMERS = 1000  # interrupts from here on are timers'


def _pin(what):
    return what.id if hasattr(what, "id") else what


class ADC:
    """Volts at a pin; 12 bits, the range as the attenuation gives it."""

    ATTN_0DB, ATTN_2_5DB, ATTN_6DB, ATTN_11DB = 0, 1, 2, 3
    WIDTH_9BIT, WIDTH_10BIT, WIDTH_11BIT, WIDTH_12BIT = 9, 10, 11, 12

    def __init__(self, pin, *, atten=0, sample_ns=None):
        self._pin, self._atten = _pin(pin), atten

    def init(self, *, atten=0):
        """Set the attenuation."""
        self._atten = atten

    atten = init

    def width(self, bits):
        """It stays 12."""

    def _raw(self):
        return ask(_bench.ADC, self._pin, self._atten, 0)

    def read(self):
        """0 to 4095."""
        return self._raw()

    def read_u16(self):
        """0 to 65535."""
        raw = self._raw()
        return raw << 4 | raw >> 8

    def read_uv(self):
        """Microvolts, by the chip's calibration."""
        return ask(_bench.ADC, self._pin, self._atten, 1)


class PWM:
    """A modulated output."""

    def __init__(self, dest, *, freq=5000, duty=None, duty_u16=None, duty_ns=None, invert=False):
        self._pin, self._freq, self._duty, self._invert = _pin(dest), freq, 32768, invert
        self.init(freq=freq, duty=duty, duty_u16=duty_u16, duty_ns=duty_ns)

    def init(self, *, freq=None, duty=None, duty_u16=None, duty_ns=None, invert=None):
        """Set what is given."""
        self._freq = self._freq if freq is None else freq
        self._invert = self._invert if invert is None else invert
        if duty is not None:
            self._duty = min(duty, 1023) * 65535 // 1023
        elif duty_u16 is not None:
            self._duty = duty_u16
        elif duty_ns is not None:
            self._duty = duty_ns * self._freq * 65535 // 1000000000
        seen = 65535 - self._duty if self._invert else self._duty
        ask(_bench.PWM, self._pin, self._freq, seen)

    def deinit(self):
        """Off."""
        ask(_bench.PWM, self._pin, 0, 0)

    def freq(self, hz=None):
        """Its frequency, or a new one."""
        if hz is None:
            return self._freq
        self.init(freq=hz)

    def duty(self, value=None):
        """0 to 1023."""
        if value is None:
            return self._duty * 1023 // 65535
        self.init(duty=value)

    def duty_u16(self, value=None):
        """0 to 65535."""
        if value is None:
            return self._duty
        self.init(duty_u16=value)

    def duty_ns(self, value=None):
        """High time of a period."""
        if value is None:
            return self._duty * 1000000000 // 65535 // self._freq
        self.init(duty_ns=value)


class RTC:
    """The clock that deep sleep and resets leave alone, and its 2048 bytes."""

    def datetime(self, parts=None):
        """(year, month, day, weekday, hour, minute, second, microsecond), or a new one."""
        import time

        if parts is None:
            now = time.gmtime()
            return now[:3] + (now[6],) + now[3:6] + ((_bench.now_us() + _bench.rtc_us) % 1000000,)
        seconds = time.mktime(tuple(parts[:3]) + tuple(parts[4:7]) + (0, 0))
        _bench.rtc_us = seconds * 1000000 + parts[7] - _bench.now_us()
        ask(_bench.RTC, data=struct.pack("<q", _bench.rtc_us))

    def init(self, parts):
        """As datetime."""
        self.datetime(parts)

    def memory(self, data=None):
        """Bytes that survive everything but a power cut."""
        if data is None:
            return ask(_bench.RTC_MEMORY, 0, want=True)
        if len(data) > 2048:
            raise ValueError("buffer too long")
        ask(_bench.RTC_MEMORY, 1, data=bytes(data))


class WDT:
    """The watchdog: once made it must be fed, and cannot be called off."""

    def __init__(self, id=0, timeout=5000):
        if id != 0:
            raise ValueError
        self._timeout = timeout
        self.feed()

    def feed(self):
        """Not yet."""
        ask(_bench.WDT, 0, self._timeout)

    def timeout_ms(self, timeout):
        """Another limit from now on."""
        self._timeout = timeout
        self.feed()


class Timer:
    """Calls back after a time, once or periodically."""

    ONE_SHOT, PERIODIC = 0, 1

    def __init__(self, id, **options):
        self._id = id & 0xFF
        if options:
            self.init(**options)

    def init(self, *, mode=PERIODIC, period=-1, freq=None, callback=None, hard=False):
        """Begin."""
        period_us = int(1000000 // freq) if freq else period * 1000
        _bench.handlers[_TIMERS + self._id] = lambda value, at: callback and callback(self)
        ask(_bench.TIMER, self._id, mode, data=struct.pack("<q", period_us))

    def deinit(self):
        """End."""
        _bench.handlers.pop(_TIMERS + self._id, None)
        ask(_bench.TIMER, self._id, 0, data=struct.pack("<q", 0))
