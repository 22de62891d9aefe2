"""One thing that was looked at: whether it is as it should be, what was seen, what was expected, what to do."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Check", "State", "failed", "passed", "skipped"]


class State(StrEnum):
    """How it went."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """`settled`: waiting longer will not change it. `do` is empty unless it failed or was skipped."""

    id: str
    title: str
    state: State
    seen: str
    expected: str
    do: str = ""
    settled: bool = False

    def document(self) -> dict[str, Any]:
        """For the record."""
        found = asdict(self)
        del found["settled"]
        return {**found, "state": self.state.value}


def passed(id_: str, title: str, seen: str, expected: str) -> Check:
    """As it should be."""
    return Check(id_, title, State.PASSED, seen, expected, settled=True)


def failed(id_: str, title: str, seen: str, expected: str, do: str, *, settled: bool = False) -> Check:
    """Not as it should be, or not yet."""
    return Check(id_, title, State.FAILED, seen, expected, do, settled)


def skipped(id_: str, title: str, why: str, expected: str, do: str = "") -> Check:
    """Not looked at; `why` says why."""
    return Check(id_, title, State.SKIPPED, why, expected, do, settled=True)
