"""A finding: what a check saw, how bad it is, and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Finding", "State", "ok", "problem", "warning", "worst"]


class State(StrEnum):
    """How bad it is: only a problem makes a command fail."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw. `do` is the next step; empty only if all is well."""

    state: State
    what: str
    do: str = ""
    group: str = ""
    name: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        fields = {"group": self.group, "check": self.name, "state": str(self.state), "what": self.what}
        return {**fields, "do": self.do} if self.do else fields


def ok(what: str) -> Finding:
    """All is well."""
    return Finding(State.OK, what)


def warning(what: str, do: str) -> Finding:
    """It works, and will not for ever."""
    return Finding(State.WARNING, what, do)


def problem(what: str, do: str) -> Finding:
    """It does not work."""
    return Finding(State.PROBLEM, what, do)


def worst(findings: list[Finding]) -> State:
    """The worst state among the findings; ok if there are none."""
    order = list(State)
    return max((finding.state for finding in findings), key=order.index, default=State.OK)
