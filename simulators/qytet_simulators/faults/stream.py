"""All faults of a scenario together: readings go in, the publisher's actions come out."""

from qytet_simulators.city.model import Reading
from qytet_simulators.faults.actions import Action
from qytet_simulators.faults.clocks import Stamper
from qytet_simulators.faults.delivery import Delivery
from qytet_simulators.faults.scenario import Scenario
from qytet_simulators.faults.values import ValueFaults


class FaultStream:
    """One run of a scenario over any number of devices; each device's readings come in order of time.

    ``start_ms`` is the simulated instant that a scenario's seconds count from. ``run`` must differ between runs
    that write to one database (default: the start), because boot ids are made from it.
    """

    def __init__(self, scenario: Scenario, start_ms: int, run: str = "") -> None:
        self._scenario = scenario
        self._start_ms = start_ms
        self._run = run or str(start_ms)
        self._devices: dict[str, tuple[ValueFaults, Stamper, Delivery]] = {}

    def push(self, reading: Reading) -> list[Action]:
        """What the device does about a reading, in order."""
        values, stamper, delivery = self._of(reading.device)
        booted, record = stamper.stamp(values.apply(reading))
        actions: list[Action] = [booted] if booted else []
        if record is not None:
            actions += delivery.push(record)
        return actions

    def tick(self, now_ms: int) -> list[Action]:
        """What falls due at a simulated instant although no reading came."""
        return [action for _, _, delivery in self._devices.values() for action in delivery.tick(now_ms)]

    def finish(self) -> list[Action]:
        """Everything that is still held."""
        return [action for _, _, delivery in self._devices.values() for action in delivery.finish()]

    def _of(self, device: str) -> tuple[ValueFaults, Stamper, Delivery]:
        found = self._devices.get(device)
        if found is None:
            scenario, start_ms = self._scenario, self._start_ms
            found = (
                ValueFaults(scenario, device, start_ms),
                Stamper(scenario, device, start_ms, self._run),
                Delivery(scenario, device, start_ms),
            )
            self._devices[device] = found
        return found
