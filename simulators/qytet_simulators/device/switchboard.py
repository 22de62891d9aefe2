"""All connections of a run on one thread: a selector waits for their sockets, time drives the rest."""

import selectors
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

from qytet_simulators.device.address import Address
from qytet_simulators.device.carrier import Carrier, Manners
from qytet_simulators.device.node import Node, unsettled
from qytet_simulators.device.record import Record
from qytet_simulators.device.tally import Latency

__all__ = ["Switchboard"]

TICK = 0.05  # s between two looks at what time asks for
FAREWELL = 5.0  # s that the last words may take


class Switchboard:
    """Carries `nodes` over `connections` connections (0: one a device); a context manager.

    Nothing happens outside `run`, `settle` and `close`: no thread, no signal handler.
    """

    def __init__(
        self,
        address: Address,
        nodes: Sequence[Node],
        *,
        run: str,
        connections: int = 1,
        manners: Manners | None = None,
        latency: Latency | None = None,
    ) -> None:
        self.nodes = list(nodes)
        self.acked_after = latency or Latency()
        self._selector = selectors.DefaultSelector()
        self._watched: dict[Carrier, Any] = {}
        self._writing: set[Carrier] = set()
        self._next_tick = 0.0
        parts = _shared_out(self.nodes, 0 if address.per_device else connections)
        self.carriers = [
            Carrier(
                address,
                part,
                self,
                client_id=f"sim-{run}-{part[0].name if len(part) == 1 else number}",
                manners=manners,
                latency=self.acked_after,
            )
            for number, part in enumerate(parts)
        ]
        self._of = {node.name: carrier for carrier in self.carriers for node in carrier.nodes}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, node: Node, boot: str, record: Record) -> None:
        """Send a record live, or leave it to the device's backlog."""
        self._of[node.name].submit(node, boot, record)

    def can_say(self, node: Node) -> bool:
        """Whether `say` would be heard now."""
        return self._of[node.name].can_say(node)

    def say(self, node: Node, kind: str, payload: bytes) -> None:
        """Send bytes as they are on one of the device's topics."""
        self._of[node.name].say(node, kind, payload)

    def rebooted(self, node: Node) -> None:
        """A device has begun a new boot."""
        self._of[node.name].rebooted(node)

    def greet(self, node: Node, state: str = "ready") -> None:
        """Say birth and state of a device anew."""
        self._of[node.name].greet(node, state)

    @property
    def up(self) -> int:
        """Connections that stand."""
        return sum(carrier.up for carrier in self.carriers)

    @property
    def refusal(self) -> str:
        """Why the connections that do not stand do not, as far as one of them knows."""
        return next((carrier.refusal for carrier in self.carriers if carrier.refusal), "")

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> None:
        """Serve the connections for so long, or until the condition holds (looked at on every event)."""
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            if now >= self._next_tick:
                self._next_tick = now + TICK
                for carrier in self.carriers:
                    carrier.tick(now)
                    self._mind_writing(carrier)
            if now >= end or (until is not None and until()):
                return
            self._serve(max(0.0, min(end, self._next_tick) - time.monotonic()))

    def settle(self, seconds: float, stop: Callable[[], bool] = lambda: False) -> list[Node]:
        """Wait until the server has accounted for everything; returns the devices for which it has not.

        What was said besides records, repetitions and garbage, is with the broker then, as the oracle has it.
        """
        self.run(seconds, lambda: stop() or (self._idle() and not unsettled(self.nodes)))
        return unsettled(self.nodes)

    def _idle(self) -> bool:
        return all(carrier.idle for carrier in self.carriers)

    def close(self) -> None:
        """Say `offline` for every device (briefly), then disconnect."""
        for carrier in self.carriers:
            for node in carrier.nodes:
                if node.online and node.boot:
                    carrier.greet(node, "offline")
        self.run(FAREWELL, lambda: all(carrier.idle or not carrier.up for carrier in self.carriers))
        for carrier in self.carriers:
            carrier.close()
        self._selector.close()

    def opened(self, carrier: Carrier, sock: Any) -> None:
        """Watch a carrier's new socket."""
        self._selector.register(sock, selectors.EVENT_READ, carrier)
        self._watched[carrier] = sock

    def closed(self, carrier: Carrier, sock: Any) -> None:
        """Forget a carrier's socket."""
        if self._watched.pop(carrier, None) is not None:
            self._selector.unregister(sock)
        self._writing.discard(carrier)

    def _serve(self, timeout: float) -> None:
        for key, events in self._selector.select(timeout):
            carrier: Carrier = key.data
            now = time.monotonic()
            if events & selectors.EVENT_WRITE:
                carrier.writable(now)
            if events & selectors.EVENT_READ:
                carrier.readable(now)
            self._mind_writing(carrier)

    def _mind_writing(self, carrier: Carrier) -> None:
        """Wait for room in the socket only while bytes wait for it."""
        sock = self._watched.get(carrier)
        wants = carrier.wants_write()
        if sock is None or wants == (carrier in self._writing):
            return
        (self._writing.add if wants else self._writing.discard)(carrier)
        self._selector.modify(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if wants else 0), carrier)


def _shared_out(nodes: Sequence[Node], connections: int) -> list[list[Node]]:
    """The devices in as many equal runs as there are connections; 0: one each."""
    count = min(connections, len(nodes)) or len(nodes)
    bounds = [round(part * len(nodes) / count) for part in range(count + 1)]
    return [list(nodes[first:last]) for first, last in pairwise(bounds)]
