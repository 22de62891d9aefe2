"""Texas Instruments ADS1115: four voltages against ground, 16 bits; with a resistor a 4-20 mA loop. (SBAS444E.)"""

from collections.abc import Sequence
from dataclasses import dataclass

from qytet_edge.inbox.current_loop import Loop
from qytet_edge.inbox.i2c.bus import Bus, Pause, Sample

__all__ = ["ADDRESS", "RANGES", "Ads1115", "Input"]

ADDRESS = 0x48

_CONVERSION, _CONFIG = 0, 1
_START = 0x8000  # table 8-3: OS, write 1 to convert, reads 1 when done
_SINGLE_ENDED = 0x4000
_ONCE = 0x0100
_DATA_RATE = 0x0080  # 128 a second
_NO_COMPARATOR = 0x0003
_CONVERT_S = 0.0088  # 1/128 s, and 10 % for its oscillator
_LOOKS = 10
_FULL = 32768
_AT_RESET = 0x8583
RANGES = {6.144: 0, 4.096: 1, 2.048: 2, 1.024: 3, 0.512: 4, 0.256: 5}
"""Full scale in volts and its code; the pin itself takes no more than the supply."""


@dataclass(frozen=True)
class Input:
    """What hangs on an input: with `loop` and `shunt_ohm` a 4-20 mA loop, else volts times `scale` plus `offset`."""

    number: int
    key: str
    full_scale: float
    shunt_ohm: float = 0.0
    loop: Loop | None = None
    scale: float = 1.0
    offset: float = 0.0


class Ads1115:
    """Driver."""

    settle_s = 0.0

    def __init__(self, pause: Pause, address: int = ADDRESS, *, inputs: Sequence[Input] = ()) -> None:
        self._pause = pause
        self._address = address
        self._inputs = inputs
        self.keys: tuple[str, ...] = tuple(one.key for one in inputs)

    def start(self, bus: Bus) -> None:
        """See that it answers."""
        self.identify(bus)

    def sample(self, bus: Bus) -> Sample:
        """Convert each input once."""
        values: dict[str, float | None] = {}
        wrong: list[str] = []
        for one in self._inputs:
            values[one.key], why = _measured(one, self._raw(bus, one))
            if why:
                wrong.append(f"input {one.number}: {why}")
        return Sample(values, tuple(wrong))

    def stop(self, bus: Bus) -> None:
        """It powers down by itself after each conversion."""

    def identify(self, bus: Bus) -> str:
        """It has no id, but its lowest bits are as they are at reset, or as we leave them."""
        config = self._read(bus, _CONFIG)
        return "" if config & _NO_COMPARATOR == _AT_RESET & _NO_COMPARATOR else "a chip that is no ADS1115"

    def _raw(self, bus: Bus, one: Input) -> int:
        gain = RANGES[one.full_scale] << 9
        config = _START | _SINGLE_ENDED | one.number << 12 | gain | _ONCE | _DATA_RATE | _NO_COMPARATOR
        bus.write(self._address, bytes([_CONFIG]) + config.to_bytes(2, "big"))
        self._pause(_CONVERT_S)
        for _ in range(_LOOKS):
            if (now := self._read(bus, _CONFIG)) & _START:
                break
            self._pause(0.001)
        else:
            raise OSError("the ADS1115 does not finish a conversion")
        raw = self._read(bus, _CONVERSION)
        if now | _START != config or self._read(bus, _CONFIG) | _START != config:
            # Another program uses it, or it was without supply: then the conversion may read 0.
            raise OSError("the ADS1115 lost its settings")
        return raw - 2 * _FULL if raw >= _FULL else raw

    def _read(self, bus: Bus, register: int) -> int:
        return int.from_bytes(bus.exchange(self._address, bytes([register]), 2), "big")


def _measured(one: Input, raw: int) -> tuple[float | None, str]:
    volts = raw * one.full_scale / _FULL
    if one.loop is not None:
        return one.loop.measured(volts / one.shunt_ohm * 1000)
    if raw in {_FULL - 1, -_FULL}:
        return None, f"beyond {one.full_scale:g} V"
    return volts * one.scale + one.offset, ""
