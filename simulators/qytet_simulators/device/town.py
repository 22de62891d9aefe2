"""A town of devices at work: readings go through the scenario's faults, into the oracle, and out to the broker."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from qytet_contract import topics
from qytet_simulators.city.fleet import Fleet
from qytet_simulators.city.model import CityModel, Reading
from qytet_simulators.device.backlog import Patience
from qytet_simulators.device.feed import Clock, Feed
from qytet_simulators.device.node import Node
from qytet_simulators.device.record import Record, obs_bytes
from qytet_simulators.device.switchboard import Switchboard
from qytet_simulators.device.tally import Latency, Tally
from qytet_simulators.faults import (
    QUIET,
    Action,
    Booted,
    FaultStream,
    Hold,
    Resend,
    Scenario,
    SendGarbage,
    SendHist,
    SendLive,
)
from qytet_simulators.faults import Record as Stamped
from qytet_simulators.faults.scenario import Offline
from qytet_simulators.oracle import OracleWriter

__all__ = ["Plan", "Town"]

STEP = 0.1  # s between two looks at the simulated clock


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated: `run` sets this run's boot ids apart, `start_ms` is in Unix milliseconds."""

    fleet: Fleet
    start_ms: int
    run: str
    seed: int = 1
    speed: float = 1.0
    scenario: Scenario = QUIET
    capacity: int = 10_000
    patience: Patience = field(default_factory=Patience)
    faithful: bool = True


class Town:
    """Every device of a plan; `step` does what the simulated clock says, for the caller to repeat."""

    def __init__(self, plan: Plan, oracle: OracleWriter | None = None) -> None:
        self.plan = plan
        self.tallies = {city.slug: Tally() for city in plan.fleet.cities}
        self.stored_after = Latency()
        self.nodes = [
            Node(
                device.city,
                device.name,
                device.datastreams,
                seed=plan.seed,
                capacity=plan.capacity,
                patience=plan.patience,
                faithful=plan.faithful,
                tally=self.tallies[device.city],
                latency=self.stored_after,
            )
            for device in plan.fleet.devices
        ]
        self._by_name = {node.name: node for node in self.nodes}
        self._oracle = oracle
        self._feed = Feed(CityModel(plan.fleet, plan.seed), plan.start_ms, plan.speed)
        self._stream = FaultStream(plan.scenario, plan.start_ms, plan.run)
        self._absences = _absences(plan.scenario, self.nodes)
        self._clock: Clock | None = None

    def work(self, board: Switchboard, stop: Callable[[], bool], seconds: float | None = None) -> None:
        """Sample and publish until told to stop, or for so many seconds; then let go of all that is held."""
        self._clock = Clock(self.plan.start_ms, self.plan.speed)
        end = time.monotonic() + seconds if seconds is not None else None
        while not stop() and (end is None or time.monotonic() < end):
            self.step(board, self._clock.now_ms())
            board.run(STEP, stop)
        self.finish(board)

    def finish(self, board: Switchboard) -> None:
        """Put everyone back on the network and let go of what the scenario still holds."""
        self._come_back(board, self._by_name.values())
        self._execute(board, self._stream.finish())

    def step(self, board: Switchboard, now_ms: int) -> None:
        """Take all readings due at a simulated instant and do what the scenario makes of them."""
        self._mind_absences(board, now_ms)
        actions: list[Action] = []
        for reading in self._feed.due(now_ms):
            actions += self._push(reading)
        actions += self._stream.tick(now_ms)
        self._execute(board, actions)

    def _push(self, reading: Reading) -> list[Action]:
        return self._stream.push(reading)

    def _mind_absences(self, board: Switchboard, now_ms: int) -> None:
        """Take devices off the network, and put them back, as the scenario says."""
        elapsed = now_ms - self.plan.start_ms
        for node, faults in self._absences:
            online = not any(fault.active(elapsed) for fault in faults)
            if online and not node.online:
                self._come_back(board, [node])
            node.online = online

    def _come_back(self, board: Switchboard, nodes: Iterable[Node]) -> None:
        for node in nodes:
            if not node.online:
                node.online = True
                board.greet(node)

    def _execute(self, board: Switchboard, actions: Sequence[Action]) -> None:
        self._accept(actions)
        for action in actions:
            self._do(board, action)

    def _accept(self, actions: Sequence[Action]) -> None:
        """Boot and accept in order, and write it all to the oracle, before anything of it is sent."""
        new: list[Stamped] = []
        dropped: list[tuple[str, str, int]] = []
        for action in actions:
            if isinstance(action, Booted):
                self._by_name[action.device].reboot(action.boot)
            elif isinstance(action, Hold | SendLive):
                record = action.record
                node = self._by_name[record.device]
                if not node.accepted(record.boot, record.seq):
                    new.append(record)
                    gone = node.accept(_plain(record))
                    dropped += [(node.name, boot, seq) for boot, seq in gone]
        if self._oracle and new:
            wall_ms = int(time.time() * 1000)
            self._oracle.accepted(new, wall_ms)
            for device, boot, seq in dropped:
                self._oracle.dropped(device, boot, seq, wall_ms)

    def _do(self, board: Switchboard, action: Action) -> None:
        if isinstance(action, Booted):
            board.rebooted(self._by_name[action.device])
        elif isinstance(action, SendLive):
            record = action.record
            board.submit(self._by_name[record.device], record.boot, _plain(record))
        elif isinstance(action, SendHist):
            for record in action.records:
                self._by_name[record.device].backlog.postpone(record.boot, record.seq)
        elif isinstance(action, Resend):
            self._repeat(board, action.record)
        elif isinstance(action, SendGarbage):
            self._spoil(board, action)

    def _repeat(self, board: Switchboard, record: Stamped) -> None:
        node = self._by_name[record.device]
        if not board.can_say(node):
            return
        if self._oracle:
            self._oracle.resent(record, int(time.time() * 1000))
        node.tally.repeated += 1
        board.say(node, topics.OBS, obs_bytes(record.boot, _plain(record)))

    def _spoil(self, board: Switchboard, action: SendGarbage) -> None:
        node = self._by_name[action.device]
        if not board.can_say(node):
            return
        if self._oracle:
            self._oracle.garbage(action, int(time.time() * 1000))
        node.tally.garbage += 1
        board.say(node, action.kind, action.payload)


def _plain(record: Stamped) -> Record:
    return Record(record.seq, record.t, record.up, record.tq, record.m)


def _absences(scenario: Scenario, nodes: Sequence[Node]) -> list[tuple[Node, list[Offline]]]:
    """The devices that a scenario takes off the network, with the faults that do."""
    found = []
    for node in nodes:
        faults = [fault for _, fault in scenario.of(node.name) if isinstance(fault, Offline)]
        if faults:
            found.append((node, faults))
    return found
