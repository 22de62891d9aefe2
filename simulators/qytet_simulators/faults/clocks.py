"""Faults of the device's own time: boots, sequence numbers, clocks that are unset or wrong."""

from qytet_simulators.city.model import Reading
from qytet_simulators.faults.actions import Booted, Record
from qytet_simulators.faults.luck import chance, hex8
from qytet_simulators.faults.scenario import ClockStep, ClockUnset, Reboot, Scenario


class Stamper:
    """Makes records of one device's readings, which must come in order of time.

    ``run`` tells runs apart: two runs of one scenario must not share boot ids, or the second would look
    like a repetition of the first.
    """

    def __init__(self, scenario: Scenario, device: str, start_ms: int, run: str) -> None:
        self._names = (scenario.seed, device, run)
        self._device = device
        self._start_ms = start_ms
        faults = list(scenario.of(device))
        self._steps = [
            (_odd_ms(scenario, place, fault), fault)
            for place, fault in faults
            if isinstance(fault, ClockStep)
        ]
        self._unset = [fault for _, fault in faults if isinstance(fault, ClockUnset)]
        self._reboots = _Restarts([fault for _, fault in faults if isinstance(fault, Reboot)])
        self._boots = 0
        self._seq = 0
        self._boot = ""
        self._booted_ms = 0
        self._silent_until = 0
        self._unset_until = 0

    def stamp(self, reading: Reading) -> tuple[Booted | None, Record | None]:
        """The boot that came before this reading, if any, and its record; no record while the device is down."""
        elapsed = reading.t_ms - self._start_ms
        booted = self._restart(elapsed)
        if elapsed < self._silent_until:
            return booted, None
        self._seq += 1
        unset = elapsed < self._unset_until or any(fault.active(elapsed) for fault in self._unset)
        wrong = sum(step for step, fault in self._steps if fault.active(elapsed))
        record = Record(
            self._device,
            self._boot,
            self._seq,
            None if unset else reading.t_ms + wrong,
            reading.t_ms - self._booted_ms,
            "none" if unset else "rtc" if wrong else "ntp",
            reading.values,
            reading.t_ms,
        )
        return booted, record

    def _restart(self, elapsed: int) -> Booted | None:
        """Start for the first time, or again when a reboot has fallen due."""
        due = self._reboots.until(elapsed)
        if due:
            at, fault = due[-1]
            self._silent_until = at + round(fault.down_s * 1000)
            self._unset_until = self._silent_until + round(fault.unset_s * 1000)
            return self._start(self._start_ms + self._silent_until)
        if not self._boots:
            return self._start(self._start_ms - 1000 - int(chance(*self._names, "boot") * 60_000))
        return None

    def _start(self, at_ms: int) -> Booted:
        self._boots += 1
        self._seq = 0
        self._booted_ms = at_ms
        self._boot = hex8(*self._names, self._boots)
        return Booted(self._device, self._boot, at_ms)


class _Restarts:
    """The instants (ms since the run began) at which reboots fall due, each given once."""

    def __init__(self, faults: list[Reboot]) -> None:
        self._coming = [(round(fault.from_s * 1000), fault) for fault in faults]

    def until(self, elapsed: int) -> list[tuple[int, Reboot]]:
        """Those that have fallen due, in order."""
        due: list[tuple[int, Reboot]] = []
        while missed := [pair for pair in self._coming if pair[0] <= elapsed]:
            due += missed
            self._coming = [pair for pair in self._coming if pair[0] > elapsed]
            self._coming += [later for pair in missed if (later := _next(*pair)) is not None]
        return sorted(due, key=lambda pair: pair[0])


def _next(at: int, fault: Reboot) -> tuple[int, Reboot] | None:
    """The following restart of a repeated one."""
    if fault.every_s is None:
        return None
    later = at + max(1, round(fault.every_s * 1000))
    return None if fault.to_s is not None and later >= fault.to_s * 1000 else (later, fault)


def _odd_ms(scenario: Scenario, place: int, fault: ClockStep) -> int:
    """The step in ms, never a whole number of tenths of a second, which is the grid that devices report on."""
    return round(fault.step_s * 10) * 100 + 1 + int(chance(scenario.seed, place, "odd") * 98)
