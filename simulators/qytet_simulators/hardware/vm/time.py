"""`time` as on an ESP32, in the bench's time: seconds count from 2000, and ticks are the bench's."""

import utime
from _bench import now_us, sleep_us, ticks_ms, ticks_us
import _bench
from utime import ticks_add, ticks_diff

_UNIX_OF_2000 = 946684800


def ticks_cpu():
    """As ticks_us."""
    return ticks_us()


def sleep(seconds):
    """Seconds, also fractions."""
    sleep_us(int(seconds * 1000000))


def sleep_ms(ms):
    """Milliseconds."""
    sleep_us(ms * 1000)


def time():
    """Whole seconds since 2000, as the RTC has them."""
    return (now_us() + _bench.rtc_us) // 1000000


def time_ns():
    """Nanoseconds since 2000."""
    return (now_us() + _bench.rtc_us) * 1000


def gmtime(seconds=None):
    """As on an ESP32: eight numbers."""
    return utime.gmtime((time() if seconds is None else int(seconds)) + _UNIX_OF_2000)[:8]


localtime = gmtime


def mktime(parts):
    """Seconds since 2000 of eight numbers."""
    year, month, day, hour, minute, second = parts[:6]
    year, month = (year - 1, month + 12) if month < 3 else (year, month)
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day
    return (days - 730426) * 86400 + hour * 3600 + minute * 60 + second
