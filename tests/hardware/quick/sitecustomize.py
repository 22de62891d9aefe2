"""Lets programs that a test starts ask an RFC 2217 port for its answers each millisecond.

pyserial looks every 50 ms whether a setting was acknowledged, and sets all of them anew whenever a time limit changes,
which esptool does twice a command: so half a minute of sleep goes into flashing a few KB. Used by way of PYTHONPATH.
"""

import time as real
from types import SimpleNamespace

import serial.rfc2217

_LONGEST_S = 0.001

serial.rfc2217.time = SimpleNamespace(  # type: ignore[assignment]
    sleep=lambda seconds: real.sleep(min(seconds, _LONGEST_S)), time=real.time
)
