"""Sensirion SPS30: particulate matter by a laser, every second. (SPS30 data sheet, version 1.0.)"""

import math
import struct

from qytet_edge.inbox.i2c.bus import Bus, Pause, Sample
from qytet_edge.inbox.i2c.sensirion import ask, tell

__all__ = ["ADDRESS", "Sps30"]

ADDRESS = 0x69

_START = 0x0010  # 6.3.1
_FLOATS = 0x0300
_STOP = 0x0104  # 6.3.2
_READY = 0x0202  # 6.3.3
_READ = 0x0300  # 6.3.4: ten floats of two words each
_CLEAN = 0x5607  # 6.3.7
_VERSION = 0xD100  # 6.3.10
_COMMAND_S = 0.02
_KEYS = ("pm1", "pm2_5", "pm4", "pm10", "particle_number_concentration_pm0_5")
"""The first five of the ten: mass in ug/m3 up to 1, 2.5, 4 and 10 um, number per cm3 up to 0.5 um."""


class Sps30:
    """Driver; `clean` blows the fan out for 10 s, which the chip forgets to do if it is switched off weekly."""

    keys: tuple[str, ...] = _KEYS
    settle_s = 30.0  # 1.1: start-up time at low concentrations

    def __init__(self, pause: Pause, address: int = ADDRESS) -> None:
        self._pause = pause
        self._address = address

    def start(self, bus: Bus) -> None:
        """Stop what may run from an earlier life, and measure from now on."""
        self.stop(bus)
        tell(bus, self._address, _START, _FLOATS)
        self._pause(_COMMAND_S)

    def sample(self, bus: Bus) -> Sample:
        """What it measured last, once."""
        if not ask(bus, self._address, _READY, 1, self._pause)[0]:
            return Sample({})
        words = ask(bus, self._address, _READ, 20, self._pause)
        floats = struct.unpack(">10f", b"".join(word.to_bytes(2, "big") for word in words))
        return Sample(
            {key: value if math.isfinite(value) else None for key, value in zip(_KEYS, floats, strict=False)}
        )

    def stop(self, bus: Bus) -> None:
        """Back to idle: fan and laser off."""
        tell(bus, self._address, _STOP)
        self._pause(_COMMAND_S)

    def clean(self, bus: Bus) -> None:
        """Begin to blow the fan out; only while it measures."""
        tell(bus, self._address, _CLEAN)
        self._pause(_COMMAND_S)

    def identify(self, bus: Bus) -> str:
        """It tells its version at any time."""
        ask(bus, self._address, _VERSION, 1, self._pause)
        return ""
