"""The 4-20 mA loop with NAMUR NE 43: which currents are a measurement, which a fault, and what they measure.

Source of the bands: NAMUR NE 43. 3.8 to 20.5 mA carry the measurement (a little beyond the range on both
sides), 3.6 mA and below or 21 mA and above are a fault; what lies between is neither.
"""

from typing import NamedTuple

__all__ = ["FAULT_HIGH", "FAULT_LOW", "VALID_HIGH", "VALID_LOW", "Loop", "judge"]

FAULT_LOW = 3.6
VALID_LOW = 3.8
VALID_HIGH = 20.5
FAULT_HIGH = 21.0


def judge(milliamps: float) -> str:
    """What is wrong with a loop of that current, as a sentence; "" if it is a measurement."""
    if VALID_LOW <= milliamps <= VALID_HIGH:
        return ""
    if milliamps <= FAULT_LOW:
        return f"{milliamps:.2f} mA: the loop is open or the transmitter reports a fault"
    if milliamps >= FAULT_HIGH:
        return f"{milliamps:.2f} mA: the loop is shorted or the transmitter reports a fault"
    return f"{milliamps:.2f} mA: beyond the range of the transmitter"


class Loop(NamedTuple):
    """What a transmitter measures: `low` at 4 mA, `high` at 20 mA."""

    low: float
    high: float

    def measured(self, milliamps: float) -> "tuple[float | None, str]":
        """The value, or None with what is wrong."""
        wrong = judge(milliamps)
        if wrong:
            return None, wrong
        return self.low + (milliamps - 4.0) / 16.0 * (self.high - self.low), ""
