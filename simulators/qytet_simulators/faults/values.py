"""Faults of the instrument: what is measured changes before the device makes a record of it."""

from fnmatch import fnmatchcase

from qytet_simulators.city.model import Reading, Value
from qytet_simulators.faults.luck import chance
from qytet_simulators.faults.scenario import Drift, Scenario, Spike, Stuck, ValueFault


class ValueFaults:
    """The value faults of one device; holds one frozen value for each stuck datastream."""

    def __init__(self, scenario: Scenario, device: str, start_ms: int) -> None:
        self._seed = scenario.seed
        self._start_ms = start_ms
        self._faults = [
            (place, fault) for place, fault in scenario.of(device) if isinstance(fault, ValueFault)
        ]
        self._frozen: dict[tuple[int, str], Value] = {}

    def apply(self, reading: Reading) -> Reading:
        """The reading as the faulty instrument gives it; the same object where nothing is wrong."""
        elapsed = reading.t_ms - self._start_ms
        values = reading.values
        for place, fault in self._faults:
            if fault.active(elapsed):
                values = {
                    key: self._changed(place, fault, reading, key, value)
                    if any(fnmatchcase(key, pattern) for pattern in fault.keys)
                    else value
                    for key, value in values.items()
                }
        return reading if values is reading.values else Reading(reading.device, reading.t_ms, values)

    def _changed(self, place: int, fault: ValueFault, reading: Reading, key: str, value: Value) -> Value:
        if isinstance(fault, Stuck):
            return self._frozen.setdefault((place, key), value)
        if value is None:
            return None
        if isinstance(fault, Spike):
            luck = chance(self._seed, place, reading.device, key, reading.t_ms)
            if luck >= fault.chance:
                return value
            return _short(value + (fault.size if luck < fault.chance / 2 else -fault.size))
        if isinstance(fault, Drift):
            hours = (reading.t_ms - self._start_ms - fault.from_s * 1000) / 3_600_000
            return _short(value + fault.per_hour * hours)
        raise TypeError(f"no such value fault: {fault!r}")


def _short(value: float) -> float:
    """Six decimals: finer than any instrument, short in JSON."""
    return round(value, 6)
