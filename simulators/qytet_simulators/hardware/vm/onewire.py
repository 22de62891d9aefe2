"""`onewire` as the ESP32's frozen module has it; the chips are the bench's."""

import _bench
from _bench import ask

_RESET, _WRITE, _READ, _SEARCH = range(4)


class OneWireError(Exception):
    """No chip answers."""


class OneWire:
    """A line on a pin."""

    SEARCH_ROM, MATCH_ROM, SKIP_ROM = 0xF0, 0x55, 0xCC

    def __init__(self, pin):
        self.pin = pin
        self._number = pin.id

    def reset(self, required=False):
        """Whether some chip answers. Raises OneWireError if one must."""
        there = bool(ask(_bench.ONEWIRE, self._number, _RESET))
        if required and not there:
            raise OneWireError
        return there

    def readbyte(self):
        """One byte."""
        return ask(_bench.ONEWIRE, self._number, _READ, 1, want=True)[0]

    def readinto(self, buf):
        """As many as fit."""
        ask(_bench.ONEWIRE, self._number, _READ, len(buf), into=buf)

    def writebyte(self, value):
        """One byte."""
        ask(_bench.ONEWIRE, self._number, _WRITE, data=bytes((value,)))

    def write(self, buf):
        """Some."""
        ask(_bench.ONEWIRE, self._number, _WRITE, data=bytes(buf))

    def select_rom(self, rom):
        """Speak to this chip."""
        self.reset()
        self.write(bytes((self.MATCH_ROM,)) + bytes(rom))

    def scan(self):
        """The 8 bytes of each chip."""
        found = ask(_bench.ONEWIRE, self._number, _SEARCH, want=True)
        return [bytearray(found[at : at + 8]) for at in range(0, len(found), 8)]

    def crc8(self, data):
        """0 if the last byte is the CRC of those before (Maxim application note 27)."""
        crc = 0
        for byte in data:
            for _ in range(8):
                crc, byte = crc >> 1 ^ (0x8C if (crc ^ byte) & 1 else 0), byte >> 1
        return crc
