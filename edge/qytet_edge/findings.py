"""What a check of the gateway found out: how bad it is, what it is, and what to do about it."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

__all__ = ["Finding", "Level", "ok", "problem", "warning", "worst"]

Level = Literal["ok", "warning", "problem"]
_ORDER: tuple[Level, ...] = ("ok", "warning", "problem")


class Finding(NamedTuple):
    """One answer of a check, in English, fit for the technician at the site.

    `what` is a sentence that says what was seen; `do` is the next step, empty only if there is none to take.
    """

    level: Level
    what: str
    do: str = ""


def ok(what: str) -> Finding:
    """Something is as it should be."""
    return Finding("ok", what)


def warning(what: str, do: str) -> Finding:
    """Something works, but not well or not for long."""
    return Finding("warning", what, do)


def problem(what: str, do: str) -> Finding:
    """Something does not work: readings are lost or not taken until it is mended."""
    return Finding("problem", what, do)


def worst(findings: Iterable[Finding]) -> Level:
    """The gravest level among them; "ok" if there are none."""
    return max((found.level for found in findings), key=_ORDER.index, default="ok")
