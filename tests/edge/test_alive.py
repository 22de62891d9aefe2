"""What the watchdog learns of the spool: a writer that waits for a full disk lives, one that has failed does not."""

import asyncio
import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from qytet_edge.gateway import Gateway
from qytet_edge.spool import State


@dataclass
class Spool:
    """A spool that has been at one thing for so long."""

    busy: float
    full_since_ms: int | None

    def busy_s(self) -> float:
        return self.busy

    def state(self) -> State:
        return State(full_since_ms=self.full_since_ms)


@pytest.mark.parametrize(
    ("busy", "full_since_ms", "why"),
    [
        (0.0, None, ""),
        (600.0, 1, ""),
        (600.0, None, "at one thing for 600 s"),
        (math.inf, None, "has failed"),
        (math.inf, 1, "has failed"),
    ],
)
def test_only_a_spool_that_may_go_on_keeps_the_watchdog_quiet(
    busy: float, full_since_ms: int | None, why: str
) -> None:
    """A full disk is waited for; a writer that hangs or has failed, whatever the disk said before, is not."""
    gateway: Any = SimpleNamespace(spool=Spool(busy, full_since_ms))
    said = asyncio.run(Gateway.alive(gateway))
    assert bool(said) == bool(why)
    assert why in said
