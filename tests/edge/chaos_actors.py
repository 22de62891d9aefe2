"""Who kills the gateway and who fills its disk: each waits until there is something to hit, however slow the machine.

A fixed timetable would hit a busy machine's gateway only while it still starts; so most blows come some seconds
after it answers, and one in four right into its start.
"""

import random
import threading
import time
from collections import Counter
from typing import Protocol

from tests.edge.chaos_gateway import GatewayProcess
from tests.edge.chaos_load import Happening

__all__ = ["Fillable", "Filler", "Killer"]

Span = tuple[float, float]


class Fillable(Protocol):
    """A disk."""

    mounted: bool

    def fill(self) -> None:
        """Take all room."""

    def free(self) -> None:
        """Give it back."""


class Killer(Happening):
    """SIGKILLs the gateway so many seconds after it answers; `until`: monotonic end."""

    def __init__(
        self, gateway: GatewayProcess, done: Counter[str], seed: object, pause: Span, until: float
    ) -> None:
        super().__init__("killer")
        self._gateway, self._done = gateway, done
        self._luck, self._pause, self._until = random.Random(f"killer {seed}"), pause, until

    def _run(self) -> None:
        while time.monotonic() < self._until:
            early = self._luck.random() < 0.25
            pause = self._luck.uniform(0.1, 2.0) if early else self._luck.uniform(*self._pause)
            if not early and not _answers(self._gateway, self._stop, self._until):
                return
            if self._stop.wait(min(pause, max(0.0, self._until - time.monotonic()))):
                return
            self._gateway.kill()
            self._done["kill gateway early" if early else "kill gateway"] += 1


class Filler(Happening):
    """Fills the disk now and then, and frees it a moment after the gateway has said so, in whichever of its lives."""

    def __init__(
        self,
        disk: Fillable,
        gateway: GatewayProcess,
        done: Counter[str],
        seed: object,
        pause: Span,
        until: float,
    ) -> None:
        super().__init__("filler")
        self._disk, self._gateway, self._done = disk, gateway, done
        self._luck, self._pause, self._until = random.Random(f"filler {seed}"), pause, until

    def _run(self) -> None:
        while self._disk.mounted and not self._stop.wait(self._luck.uniform(*self._pause)):
            if time.monotonic() >= self._until:
                return
            self._disk.fill()
            self._done["fill disk"] += 1
            self._done["said full"] += self._noticed()
            self._stop.wait(self._luck.uniform(0.5, 2.0))
            self._disk.free()

    def _noticed(self) -> bool:
        while time.monotonic() < self._until and not self._stop.wait(0.1):
            state = self._gateway.state()
            if state is not None and state["spool"]["full_since_ms"] is not None:
                return True
        return False


def _answers(gateway: GatewayProcess, stop: threading.Event, until: float) -> bool:
    """Wait until the gateway answers."""
    while gateway.state() is None:
        if time.monotonic() >= until or stop.wait(0.1):
            return False
    return True
